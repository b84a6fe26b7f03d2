// STOCK.APPLY: a change that a master has propagated, or that an append-only file has kept.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

static bool is_internal(RedisModuleCtx *ctx) {
    int flags = RedisModule_GetContextFlags(ctx);
    return (flags & (REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING)) != 0;
}

// Applies a change to the bucket of a key, which it may make.
static stock_fault apply(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, stock_bytes payload) {
    stock_turn turn = STOCK_TURN_NONE;
    stock_bucket *bucket = entry == NULL ? NULL : entry->bucket;
    stock_fault fault = stock_apply(&bucket, payload, &turn);
    if (entry != NULL)
        registry_note(entry);
    else if (bucket != NULL)
        put_bucket(ctx, name, registry_add(bucket, RedisModule_GetSelectedDb(ctx), name));
    announce(ctx, name, turn);
    return fault;
}

// Neither a master nor a file sends a change twice: what is refused stays missing here.
static void note_refusal(void) {
    statistics_count_refused_change();
    freezing_note_missing();
}

int command_apply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3) {
        if (is_internal(ctx))
            note_refusal();
        return RedisModule_WrongArity(ctx);
    }
    if (ready_replies_answer(ctx))
        return REDISMODULE_OK;
    if (!is_internal(ctx))
        return RedisModule_ReplyWithError(ctx, "ERR STOCK.APPLY is internal: it comes from a master or an AOF only");
    stock_bytes payload = bytes_of(argv[2]);
    if (bytes_of(argv[1]).count == 0 && freezing_apply(ctx, payload)) {
        RedisModule_ReplicateVerbatim(ctx);
        return reply_ok(ctx);
    }
    bucket_entry *entry = NULL;
    if (find_bucket(ctx, argv[1], OPEN_TO_CHANGE, &entry) == BUCKET_OTHER_TYPE) {
        note_refusal();
        return RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
    }
    stock_fault fault = apply(ctx, argv[1], entry, payload);
    if (fault != STOCK_FAULT_NONE) {
        note_refusal();
        RedisModule_Log(ctx, "warning", "a change of bucket '%s' was refused: %s", show(bytes_of(argv[1])).text,
                        stock_fault_meaning(fault));
        return reply_fault(ctx, fault, "key", argv[1]);
    }
    RedisModule_SignalModifiedKey(ctx, argv[1]);
    RedisModule_ReplicateVerbatim(ctx);
    return reply_ok(ctx);
}
