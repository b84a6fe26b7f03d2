// The handlers of the commands that change, each in one order: arity, all arguments, key and type, decide and apply
// (the Swift half), replicate, reply.
#include "arguments.h"
#include "doorbuster_module.h"

typedef enum { BUCKET_FOUND, BUCKET_MISSING, BUCKET_OTHER_TYPE } bucket_presence;

// A key's value stays where it is until the command ends, so the key itself need not stay open.
static bucket_presence find_bucket(RedisModuleCtx *ctx, RedisModuleString *name, int mode, stock_bucket **bucket) {
    bucket_presence presence = BUCKET_MISSING;
    RedisModuleKey *key = RedisModule_OpenKey(ctx, name, mode);
    if (key == NULL)
        return presence;
    if (RedisModule_ModuleTypeGetType(key) == bucket_type) {
        *bucket = RedisModule_ModuleTypeGetValue(key);
        presence = BUCKET_FOUND;
    } else if (RedisModule_KeyType(key) != REDISMODULE_KEYTYPE_EMPTY) {
        presence = BUCKET_OTHER_TYPE;
    }
    RedisModule_CloseKey(key);
    return presence;
}

stock_bucket *open_bucket(RedisModuleCtx *ctx, RedisModuleString *name, int mode) {
    stock_bucket *bucket = NULL;
    switch (find_bucket(ctx, name, mode, &bucket)) {
    case BUCKET_FOUND:
        break;
    case BUCKET_MISSING:
        reply_named_error(ctx, "NOBUCKET", "key", name, "there is no bucket");
        break;
    case BUCKET_OTHER_TYPE:
        RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
        break;
    }
    return bucket;
}

// The one place from which a change of a client's command leaves this server.
static void propagate(RedisModuleCtx *ctx, RedisModuleString *name, const stock_bucket *bucket) {
    char change[STOCK_CHANGE_BYTES_MAX];
    size_t count = stock_encode_change(bucket, change);
    RedisModule_Replicate(ctx, "STOCK.APPLY", "sb", name, change, count);
    RedisModule_SignalModifiedKey(ctx, name);
}

static int reply_fault(RedisModuleCtx *ctx, stock_fault fault, const char *what, const RedisModuleString *value) {
    return reply_named_error(ctx, stock_fault_code(fault), what, value, stock_fault_meaning(fault));
}

// Propagates what changed and answers `[status, remaining, sequence]`; an error names the token.
static int finish(RedisModuleCtx *ctx, RedisModuleString *name, const RedisModuleString *token,
                  const stock_bucket *bucket, stock_outcome outcome) {
    statistics_count(outcome);
    if (outcome.fault != STOCK_FAULT_NONE)
        return reply_fault(ctx, outcome.fault, "token", token);
    if (outcome.changed)
        propagate(ctx, name, bucket);
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithSimpleString(ctx, stock_status_word(outcome.status));
    RedisModule_ReplyWithLongLong(ctx, outcome.remaining);
    return RedisModule_ReplyWithLongLong(ctx, outcome.sequence);
}

// Whether the policy lets the server evict keys without expiry, whatever `maxmemory` is.
static bool is_evictable(RedisModuleCtx *ctx) {
    static const char evicting[] = "allkeys-";
    RedisModuleServerInfoData *memory = RedisModule_GetServerInfo(ctx, "memory");
    const char *policy = RedisModule_ServerInfoGetFieldC(memory, "maxmemory_policy");
    bool evictable = policy != NULL && strncmp(policy, evicting, sizeof evicting - 1) == 0;
    RedisModule_FreeServerInfo(ctx, memory);
    return evictable;
}

static stock_bucket *make_bucket(const stock_settings *settings, int64_t quantity) {
    unsigned char hash_key[STOCK_HASH_KEY_BYTES];
    uint64_t random;
    RedisModule_GetRandomBytes(hash_key, sizeof hash_key);
    RedisModule_GetRandomBytes((unsigned char *)&random, sizeof random);
    int64_t epoch = (int64_t)(random & (uint64_t)(STOCK_NUMBER_MAX - 1)) + 1;
    statistics_bucket_made();
    return stock_create(settings, quantity, epoch, hash_key, RedisModule_Milliseconds());
}

static void put_bucket(RedisModuleCtx *ctx, RedisModuleString *name, stock_bucket *bucket) {
    RedisModuleKey *key = RedisModule_OpenKey(ctx, name, REDISMODULE_READ | REDISMODULE_WRITE);
    RedisModule_ModuleTypeSetValue(key, bucket_type, bucket);
    RedisModule_CloseKey(key);
}

int command_create(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    int64_t quantity;
    stock_settings settings = {.buckets = 1};
    option options[] = {
        {.word = "BUCKETS", .value = &settings.buckets, .min = 1, .max = STOCK_BUCKETS_MAX},
        {.word = "LIMIT", .value = &settings.limit, .min = 0, .max = STOCK_NUMBER_MAX},
        {.word = "OPENS", .value = &settings.opens, .min = 0, .max = STOCK_NUMBER_MAX},
        {.word = "CLOSES", .value = &settings.closes, .min = 0, .max = STOCK_NUMBER_MAX},
    };
    if (!parse_number(ctx, "quantity", argv[2], 0, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, sizeof options / sizeof *options))
        return REDISMODULE_OK;

    stock_bucket *bucket = NULL;
    switch (find_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE, &bucket)) {
    case BUCKET_FOUND:
        return reply_named_error(ctx, "BUCKETEXISTS", "key", argv[1], "there is a bucket already");
    case BUCKET_OTHER_TYPE:
        return RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    case BUCKET_MISSING:
        break;
    }
    if (is_evictable(ctx))
        return RedisModule_ReplyWithError(
            ctx, "EVICTABLE maxmemory-policy is 'allkeys-*', under which the server may evict buckets, must be "
                 "'noeviction' or 'volatile-*'");

    bucket = make_bucket(&settings, quantity);
    put_bucket(ctx, argv[1], bucket);
    propagate(ctx, argv[1], bucket);
    return RedisModule_ReplyWithSimpleString(ctx, stock_status_word(STOCK_OK));
}

int command_schedule(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 4)
        return RedisModule_WrongArity(ctx);
    int64_t limit, opens, closes;
    option options[] = {
        {.word = "LIMIT", .value = &limit, .min = 0, .max = STOCK_NUMBER_MAX},
        {.word = "OPENS", .value = &opens, .min = 0, .max = STOCK_NUMBER_MAX},
        {.word = "CLOSES", .value = &closes, .min = 0, .max = STOCK_NUMBER_MAX},
    };
    if (!parse_options(ctx, argv, argc, 2, options, sizeof options / sizeof *options))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;

    stock_settings settings = stock_describe(bucket).settings;
    if (!options[0].given)
        limit = settings.limit;
    if (!options[1].given)
        opens = settings.opens;
    if (!options[2].given)
        closes = settings.closes;
    stock_outcome outcome = stock_schedule(bucket, limit, opens, closes, RedisModule_Milliseconds());
    statistics_count(outcome);
    if (outcome.fault != STOCK_FAULT_NONE)
        return reply_fault(ctx, outcome.fault, "key", argv[1]);
    if (outcome.changed)
        propagate(ctx, argv[1], bucket);
    return RedisModule_ReplyWithSimpleString(ctx, stock_status_word(STOCK_OK));
}

int command_deduct(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 5)
        return RedisModule_WrongArity(ctx);
    stock_bytes user, token;
    int64_t quantity;
    if (!parse_name(ctx, "user", argv[2], &user))
        return REDISMODULE_OK;
    if (!parse_name(ctx, "token", argv[3], &token))
        return REDISMODULE_OK;
    if (!parse_number(ctx, "quantity", argv[4], 1, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 5, NULL, 0))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_deduct(bucket, user, token, quantity, RedisModule_Milliseconds());
    return finish(ctx, argv[1], argv[3], bucket, outcome);
}

int command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    option options[] = {{.word = "FENCE"}, {.word = "OFFSALE"}};
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, sizeof options / sizeof *options))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_cancel(bucket, token, options[0].given, options[1].given, RedisModule_Milliseconds());
    return finish(ctx, argv[1], argv[2], bucket, outcome);
}

int command_fence(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_fence(bucket, token, RedisModule_Milliseconds());
    return finish(ctx, argv[1], argv[2], bucket, outcome);
}

int command_add(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 4)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    int64_t quantity;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    if (!parse_number(ctx, "quantity", argv[3], -STOCK_NUMBER_MAX, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    if (quantity == 0)
        return reply_argument_error(ctx, "quantity", argv[3], "an integer other than 0");
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_add(bucket, token, quantity, RedisModule_Milliseconds());
    return finish(ctx, argv[1], argv[2], bucket, outcome);
}

int command_trim(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    int64_t sequence, dropped, epoch = 0;
    option options[] = {{.word = "EPOCH", .value = &epoch, .min = 1, .max = STOCK_NUMBER_MAX}};
    if (!parse_number(ctx, "sequence", argv[2], 0, STOCK_NUMBER_MAX, &sequence))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, sizeof options / sizeof *options))
        return REDISMODULE_OK;
    stock_bucket *bucket = open_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE);
    if (bucket == NULL)
        return REDISMODULE_OK;
    stock_fault fault = stock_trim(bucket, sequence, epoch, &dropped);
    if (fault != STOCK_FAULT_NONE)
        return reply_fault(ctx, fault, "key", argv[1]);
    if (dropped > 0)
        propagate(ctx, argv[1], bucket);
    return RedisModule_ReplyWithLongLong(ctx, dropped);
}

int command_apply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    if ((RedisModule_GetContextFlags(ctx) & (REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING)) == 0)
        return RedisModule_ReplyWithError(ctx, "ERR STOCK.APPLY is internal: it comes from a master or an AOF only");
    stock_bytes payload;
    payload.start = RedisModule_StringPtrLen(argv[2], &payload.count);
    stock_bucket *bucket = NULL;
    bucket_presence presence = find_bucket(ctx, argv[1], REDISMODULE_READ | REDISMODULE_WRITE, &bucket);
    if (presence == BUCKET_OTHER_TYPE)
        return RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);

    stock_fault fault = stock_apply(&bucket, payload);
    if (presence == BUCKET_MISSING && bucket != NULL) {
        statistics_bucket_made();
        put_bucket(ctx, argv[1], bucket);
    }
    if (fault != STOCK_FAULT_NONE) {
        RedisModule_Log(ctx, "warning", "a change of bucket '%s' was refused: %s",
                        RedisModule_StringPtrLen(argv[1], NULL), stock_fault_meaning(fault));
        return reply_fault(ctx, fault, "key", argv[1]);
    }
    RedisModule_SignalModifiedKey(ctx, argv[1]);
    RedisModule_ReplicateVerbatim(ctx);
    return RedisModule_ReplyWithSimpleString(ctx, stock_status_word(STOCK_OK));
}
