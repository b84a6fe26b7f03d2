// The handlers of the commands by which a sale is set up, looked after and mended.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define WORD(c, swift, word) word,

// Whether the policy lets the server evict keys without expiry, whatever `maxmemory` is.
static bool is_evictable(RedisModuleCtx *ctx) {
    static const char evicting[] = "allkeys-";
    RedisModuleServerInfoData *memory = RedisModule_GetServerInfo(ctx, "memory");
    const char *policy = RedisModule_ServerInfoGetFieldC(memory, "maxmemory_policy");
    bool evictable = policy != NULL && strncmp(policy, evicting, sizeof evicting - 1) == 0;
    RedisModule_FreeServerInfo(ctx, memory);
    return evictable;
}

static stock_bucket *make_bucket(const stock_settings *settings, int64_t quantity, bool frozen) {
    unsigned char hash_key[STOCK_HASH_KEY_BYTES];
    uint64_t random;
    RedisModule_GetRandomBytes(hash_key, sizeof hash_key);
    RedisModule_GetRandomBytes((unsigned char *)&random, sizeof random);
    int64_t epoch = (int64_t)(random & (uint64_t)(STOCK_NUMBER_MAX - 1)) + 1;
    return stock_create(settings, quantity, frozen, epoch, hash_key, RedisModule_Milliseconds());
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
        {.word = "FROZEN"},
    };
    if (!parse_number(ctx, "quantity", argv[2], 0, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, COUNT_OF(options)))
        return REDISMODULE_OK;

    bucket_entry *entry = NULL;
    switch (find_bucket(ctx, argv[1], OPEN_TO_CHANGE, &entry)) {
    case BUCKET_FOUND:
        return reply_named_error(ctx, "BUCKETEXISTS", "key", argv[1], "there is a bucket already");
    case BUCKET_OTHER_TYPE:
        return RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    case BUCKET_MISSING:
        break;
    }
    if (!may_change(ctx))
        return REDISMODULE_OK;
    if (is_evictable(ctx))
        return RedisModule_ReplyWithError(
            ctx, "EVICTABLE maxmemory-policy is 'allkeys-*', under which the server may evict buckets, must be "
                 "'noeviction' or 'volatile-*'");

    stock_bucket *bucket = make_bucket(&settings, quantity, options[4].given);
    entry = registry_add(bucket, RedisModule_GetSelectedDb(ctx), argv[1]);
    put_bucket(ctx, argv[1], entry);
    statistics_count(&(stock_outcome){.status = STOCK_OK, .events = 1});
    propagate(ctx, argv[1], entry, STOCK_TURN_NONE);
    return reply_ok(ctx);
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
    if (!parse_options(ctx, argv, argc, 2, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;

    stock_settings settings = stock_describe(entry->bucket).settings;
    if (!options[0].given)
        limit = settings.limit;
    if (!options[1].given)
        opens = settings.opens;
    if (!options[2].given)
        closes = settings.closes;
    stock_outcome outcome = stock_schedule(entry->bucket, limit, opens, closes, RedisModule_Milliseconds());
    if (!finish_change(ctx, argv[1], entry, &outcome, "key", argv[1]))
        return REDISMODULE_OK;
    return reply_ok(ctx);
}

int command_freeze(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2)
        return RedisModule_WrongArity(ctx);
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_freeze(entry->bucket, RedisModule_Milliseconds());
    if (!finish_change(ctx, argv[1], entry, &outcome, "key", argv[1]))
        return REDISMODULE_OK;
    return reply_ok(ctx);
}

int command_thaw(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 2)
        return RedisModule_WrongArity(ctx);
    int64_t epoch = 0;
    option options[] = {{.word = "EPOCH", .value = &epoch, .min = 1, .max = STOCK_NUMBER_MAX}};
    if (!parse_options(ctx, argv, argc, 2, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_thaw(entry->bucket, epoch, RedisModule_Milliseconds());
    if (!finish_change(ctx, argv[1], entry, &outcome, "key", argv[1]))
        return REDISMODULE_OK;
    return reply_ok(ctx);
}

int command_trim(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    int64_t sequence, dropped, epoch = 0;
    option options[] = {{.word = "EPOCH", .value = &epoch, .min = 1, .max = STOCK_NUMBER_MAX}};
    if (!parse_number(ctx, "sequence", argv[2], 0, STOCK_NUMBER_MAX, &sequence))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_fault fault = stock_trim(entry->bucket, sequence, epoch, &dropped);
    if (fault != STOCK_FAULT_NONE)
        return reply_fault(ctx, fault, "key", argv[1]);
    if (dropped > 0)
        propagate(ctx, argv[1], entry, STOCK_TURN_NONE);
    return RedisModule_ReplyWithLongLong(ctx, dropped);
}

// MARK: STOCK.RECORD, in three forms of different lengths

enum { RECORD_RESTOCK_WORDS = 5, RECORD_PURCHASE_WORDS = 6, RECORD_TRANSFER_WORDS = 7 };

static int record_purchase(RedisModuleCtx *ctx, RedisModuleString **argv) {
    static const char *const recordings[] = {STOCK_RECORDINGS(WORD)};
    stock_bytes user, token;
    int64_t quantity;
    size_t recording;
    if (!parse_name(ctx, "user", argv[2], &user) || !parse_name(ctx, "token", argv[3], &token) ||
        !parse_number(ctx, "quantity", argv[4], 1, STOCK_NUMBER_MAX, &quantity) ||
        !parse_word(ctx, "state", argv[5], recordings, COUNT_OF(recordings), &recording))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome =
        stock_record(entry->bucket, user, token, quantity, (stock_recording)recording, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[3]);
}

static int record_transfer(RedisModuleCtx *ctx, RedisModuleString **argv) {
    static const char *const kinds[] = {"TRANSFER"};
    static const char *const directions[] = {STOCK_DIRECTIONS(WORD)};
    stock_bytes name;
    int64_t peer, quantity;
    size_t kind, direction;
    if (!parse_word(ctx, "form", argv[2], kinds, COUNT_OF(kinds), &kind) ||
        !parse_transfer(ctx, "transfer", argv[3], &name) ||
        !parse_word(ctx, "direction", argv[4], directions, COUNT_OF(directions), &direction) ||
        !parse_number(ctx, "peer", argv[5], 0, STOCK_BUCKETS_MAX - 1, &peer) ||
        !parse_number(ctx, "quantity", argv[6], 1, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_record_transfer(entry->bucket, name, (stock_direction)direction, (uint16_t)peer,
                                                  quantity, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "transfer", argv[3]);
}

static int record_restock(RedisModuleCtx *ctx, RedisModuleString **argv) {
    static const char *const kinds[] = {"RESTOCK"};
    stock_bytes token;
    int64_t quantity;
    size_t kind;
    if (!parse_word(ctx, "form", argv[2], kinds, COUNT_OF(kinds), &kind) ||
        !parse_name(ctx, "token", argv[3], &token) || !parse_restock_quantity(ctx, argv[4], &quantity))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_record_restock(entry->bucket, token, quantity, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[3]);
}

int command_record(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    switch (argc) {
    case RECORD_RESTOCK_WORDS:
        return record_restock(ctx, argv);
    case RECORD_PURCHASE_WORDS:
        return record_purchase(ctx, argv);
    case RECORD_TRANSFER_WORDS:
        return record_transfer(ctx, argv);
    }
    return RedisModule_WrongArity(ctx);
}
