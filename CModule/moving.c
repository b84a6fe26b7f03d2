// The handlers of the commands that move units between buckets.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

static const int64_t bucket_number_max = STOCK_BUCKETS_MAX - 1;

// A transfer as a command tells of it: `key transfer quantity TO|FROM bucket`.
typedef struct told_transfer {
    stock_bytes name;
    int64_t quantity, peer;
} told_transfer;

static bool parse_told_transfer(RedisModuleCtx *ctx, RedisModuleString **argv, const char *word,
                                told_transfer *transfer) {
    size_t index;
    return parse_transfer(ctx, "transfer", argv[2], &transfer->name) &&
           parse_number(ctx, "quantity", argv[3], 1, STOCK_NUMBER_MAX, &transfer->quantity) &&
           parse_word(ctx, "option", argv[4], &word, 1, &index) &&
           parse_number(ctx, word, argv[5], 0, bucket_number_max, &transfer->peer);
}

int command_withdraw(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 6)
        return RedisModule_WrongArity(ctx);
    told_transfer transfer;
    if (!parse_told_transfer(ctx, argv, "TO", &transfer))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_withdraw(entry->bucket, transfer.name, transfer.quantity, (uint16_t)transfer.peer,
                                           RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "transfer", argv[2]);
}

int command_deposit(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 6)
        return RedisModule_WrongArity(ctx);
    told_transfer transfer;
    if (!parse_told_transfer(ctx, argv, "FROM", &transfer))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_deposit(entry->bucket, transfer.name, transfer.quantity, (uint16_t)transfer.peer,
                                          RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "transfer", argv[2]);
}

int command_settle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes name;
    if (!parse_transfer(ctx, "transfer", argv[2], &name))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_settle(entry->bucket, name);
    return finish(ctx, argv[1], entry, &outcome, "transfer", argv[2]);
}

// MARK: STOCK.REBALANCE key key [key ...] [WEIGHTS w w [w ...]]

enum { REBALANCE_KEYS_MIN = 2 };

// What a rebalancing works on, one after the other for each key.
typedef struct rebalancing {
    size_t count;
    RedisModuleString **names;
    bucket_entry **entries;
    stock_bucket **buckets;
    stock_outcome *outcomes;
    // NULL: evenly.
    int64_t *weights;
} rebalancing;

// The keys are what stands before the word WEIGHTS, which only the third argument or a later one can be.
static size_t count_keys(RedisModuleString **argv, int argc) {
    int end = 1 + REBALANCE_KEYS_MIN;
    while (end < argc && !is_word(argv[end], "WEIGHTS"))
        end++;
    return (size_t)(end < argc ? end : argc) - 1;
}

static int tell_keys(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    size_t count = count_keys(argv, argc);
    for (size_t i = 1; i <= count; i++)
        RedisModule_KeyAtPosWithFlags(ctx, (int)i,
                                      REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_UPDATE);
    return REDISMODULE_OK;
}

static rebalancing allocate_rebalancing(RedisModuleString **names, size_t count) {
    return (rebalancing){
        .count = count,
        .names = names,
        .entries = RedisModule_Alloc(count * sizeof(bucket_entry *)),
        .buckets = RedisModule_Alloc(count * sizeof(stock_bucket *)),
        .outcomes = RedisModule_Alloc(count * sizeof(stock_outcome)),
    };
}

static void free_rebalancing(rebalancing *all) {
    RedisModule_Free(all->entries);
    RedisModule_Free(all->buckets);
    RedisModule_Free(all->outcomes);
    RedisModule_Free(all->weights);
}

// `argument` is the word WEIGHTS, with `given` arguments behind it.
static bool parse_weights(RedisModuleCtx *ctx, RedisModuleString **argument, size_t given, rebalancing *all) {
    if (given != all->count) {
        reply_argument_error(ctx, "option", argument[0], "followed by a weight for each key");
        return false;
    }
    all->weights = RedisModule_Alloc(all->count * sizeof *all->weights);
    bool is_some = false;
    for (size_t i = 0; i < all->count; i++) {
        if (!parse_number(ctx, "WEIGHTS", argument[1 + i], 0, STOCK_NUMBER_MAX, &all->weights[i]))
            return false;
        is_some |= all->weights[i] > 0;
    }
    if (!is_some)
        reply_argument_error(ctx, "WEIGHTS", argument[1], "above 0 for one key at least");
    return is_some;
}

static bool open_all(RedisModuleCtx *ctx, rebalancing *all) {
    static uint64_t visits;
    visits++;
    for (size_t i = 0; i < all->count; i++) {
        bucket_entry *entry = open_to_change(ctx, all->names[i]);
        if (entry == NULL)
            return false;
        if (entry->visit == visits) {
            reply_argument_error(ctx, "key", all->names[i], "given once");
            return false;
        }
        entry->visit = visits;
        all->entries[i] = entry;
        all->buckets[i] = entry->bucket;
    }
    return true;
}

static int rebalance(RedisModuleCtx *ctx, rebalancing *all) {
    size_t culprit = 0;
    stock_fault fault =
        stock_rebalance(all->buckets, all->count, all->weights, RedisModule_Milliseconds(), all->outcomes, &culprit);
    if (fault != STOCK_FAULT_NONE) {
        statistics_count(&(stock_outcome){.fault = fault});
        return reply_fault(ctx, fault, "key", all->names[culprit]);
    }
    stock_outcome whole = {.status = STOCK_OK};
    for (size_t i = 0; i < all->count; i++) {
        whole.events += all->outcomes[i].events;
        if (all->outcomes[i].changed)
            propagate(ctx, all->names[i], all->entries[i], all->outcomes[i].turn);
    }
    statistics_count(&whole);
    RedisModule_ReplyWithArray(ctx, (long)all->count);
    for (size_t i = 0; i < all->count; i++)
        RedisModule_ReplyWithLongLong(ctx, all->outcomes[i].remaining);
    return REDISMODULE_OK;
}

int command_rebalance(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (RedisModule_IsKeysPositionRequest(ctx))
        return tell_keys(ctx, argv, argc);
    if (argc < 1 + REBALANCE_KEYS_MIN)
        return RedisModule_WrongArity(ctx);
    rebalancing all = allocate_rebalancing(argv + 1, count_keys(argv, argc));
    size_t behind = (size_t)argc - 1 - all.count;
    if ((behind == 0 || parse_weights(ctx, argv + 1 + all.count, behind - 1, &all)) && open_all(ctx, &all))
        rebalance(ctx, &all);
    free_rebalancing(&all);
    return REDISMODULE_OK;
}
