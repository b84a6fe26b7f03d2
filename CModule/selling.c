// The handlers of the commands that sell, give back and restock.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

int command_deduct(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 5)
        return RedisModule_WrongArity(ctx);
    stock_bytes user, token;
    int64_t quantity, hold = 0;
    if (!parse_name(ctx, "user", argv[2], &user) || !parse_name(ctx, "token", argv[3], &token))
        return REDISMODULE_OK;
    // The token's slot is on its way into the cache while the rest is read; only then does the key's state count.
    bucket_entry *entry;
    RedisModuleKey *key = RedisModule_OpenKey(ctx, argv[1], OPEN_TO_CHANGE);
    bucket_presence presence = look_into(key, &entry);
    uint64_t hash = entry == NULL ? 0 : stock_look_ahead(entry->bucket, token);
    close_bucket(ctx, argv[1], key, entry);
    if (!parse_number(ctx, "quantity", argv[4], 1, STOCK_NUMBER_MAX, &quantity))
        return REDISMODULE_OK;
    if (argc > 5) {
        option options[] = {{.word = "HOLD", .value = &hold, .min = 1, .max = STOCK_NUMBER_MAX}};
        if (!parse_options(ctx, argv, argc, 5, options, COUNT_OF(options)))
            return REDISMODULE_OK;
    }
    if (!must_be_found(ctx, presence, argv[1]) || !may_change(ctx))
        return REDISMODULE_OK;
    stock_outcome outcome = stock_deduct(entry->bucket, user, token, hash, quantity, hold, RedisModule_Milliseconds());
    if (__builtin_expect(outcome.fault == STOCK_FAULT_HOLD, 0))
        return finish(ctx, argv[1], entry, &outcome, "HOLD", argv[6]);
    return finish(ctx, argv[1], entry, &outcome, "token", argv[3]);
}

int command_confirm(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_confirm(entry->bucket, token, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[2]);
}

int command_cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc < 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    option options[] = {{.word = "FENCE"}, {.word = "OFFSALE"}};
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    if (!parse_options(ctx, argv, argc, 3, options, COUNT_OF(options)))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome =
        stock_cancel(entry->bucket, token, options[0].given, options[1].given, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[2]);
}

int command_fence(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    if (!parse_name(ctx, "token", argv[2], &token))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_fence(entry->bucket, token, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[2]);
}

int command_add(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 4)
        return RedisModule_WrongArity(ctx);
    stock_bytes token;
    int64_t quantity;
    if (!parse_name(ctx, "token", argv[2], &token) || !parse_restock_quantity(ctx, argv[3], &quantity))
        return REDISMODULE_OK;
    bucket_entry *entry = open_to_change(ctx, argv[1]);
    if (entry == NULL)
        return REDISMODULE_OK;
    stock_outcome outcome = stock_add(entry->bucket, token, quantity, RedisModule_Milliseconds());
    return finish(ctx, argv[1], entry, &outcome, "token", argv[2]);
}
