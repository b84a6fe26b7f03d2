#include "handling.h"
#include "arguments.h"
#include "doorbuster_module.h"

bucket_presence look_into(RedisModuleKey *key, bucket_entry **entry) {
    *entry = NULL;
    if (key == NULL)
        return BUCKET_MISSING;
    if (RedisModule_ModuleTypeGetType(key) != bucket_type)
        return RedisModule_KeyType(key) == REDISMODULE_KEYTYPE_EMPTY ? BUCKET_MISSING : BUCKET_OTHER_TYPE;
    *entry = RedisModule_ModuleTypeGetValue(key);
    return BUCKET_FOUND;
}

void close_bucket(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleKey *key, bucket_entry *entry) {
    RedisModule_CloseKey(key);
    if (__builtin_expect(entry != NULL && entry->is_lost, 0))
        registry_place(entry, RedisModule_GetSelectedDb(ctx), name);
}

bucket_presence find_bucket(RedisModuleCtx *ctx, RedisModuleString *name, int mode, bucket_entry **entry) {
    RedisModuleKey *key = RedisModule_OpenKey(ctx, name, mode);
    bucket_presence presence = look_into(key, entry);
    close_bucket(ctx, name, key, *entry);
    return presence;
}

void put_bucket(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry) {
    RedisModuleKey *key = RedisModule_OpenKey(ctx, name, OPEN_TO_CHANGE);
    RedisModule_ModuleTypeSetValue(key, bucket_type, entry);
    RedisModule_CloseKey(key);
}

// A replica that takes writes of its own would miss all later changes of its master, which no longer follow from what
// it has, and sell those units again once it is promoted.
bool pass_gate(RedisModuleCtx *ctx) {
    if (server_is_replica) {
        RedisModule_ReplyWithError(ctx, "READONLY buckets on a replica follow their master: ask the master");
        return false;
    }
    freezing_propagate(ctx);
    return true;
}

bool refuse_missing(RedisModuleCtx *ctx, bucket_presence presence, const RedisModuleString *name) {
    switch (presence) {
    case BUCKET_FOUND:
        break;
    case BUCKET_MISSING:
        reply_named_error(ctx, "NOBUCKET", "key", name, "there is no bucket");
        break;
    case BUCKET_OTHER_TYPE:
        RedisModule_ReplyWithError(ctx, REDISMODULE_ERRORMSG_WRONGTYPE);
        break;
    }
    return false;
}

bucket_entry *open_to_read(RedisModuleCtx *ctx, RedisModuleString *name) {
    bucket_entry *entry = NULL;
    return must_be_found(ctx, find_bucket(ctx, name, OPEN_TO_READ, &entry), name) ? entry : NULL;
}

bucket_entry *open_to_change(RedisModuleCtx *ctx, RedisModuleString *name) {
    bucket_entry *entry = NULL;
    bucket_presence presence = find_bucket(ctx, name, OPEN_TO_CHANGE, &entry);
    return must_be_found(ctx, presence, name) && may_change(ctx) ? entry : NULL;
}

void announce(RedisModuleCtx *ctx, RedisModuleString *name, stock_turn turn) {
    if (__builtin_expect(turn != STOCK_TURN_NONE, 0))
        RedisModule_NotifyKeyspaceEvent(ctx, REDISMODULE_NOTIFY_MODULE, stock_turn_word(turn), name);
}

void propagate(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, stock_turn turn) {
    char common[STOCK_CHANGE_BYTES_MAX];
    size_t bytes_max = stock_change_bytes(entry->bucket);
    char *change = bytes_max <= sizeof common ? common : RedisModule_Alloc(bytes_max);
    size_t count = stock_encode_change(entry->bucket, change);
    RedisModule_Replicate(ctx, "STOCK.APPLY", "sb", name, change, count);
    if (change != common)
        RedisModule_Free(change);
    RedisModule_SignalModifiedKey(ctx, name);
    registry_note(entry);
    announce(ctx, name, turn);
}

int reply_fault(RedisModuleCtx *ctx, stock_fault fault, const char *what, const RedisModuleString *value) {
    return reply_named_error(ctx, stock_fault_code(fault), what, value, stock_fault_meaning(fault));
}

int reply_ok(RedisModuleCtx *ctx) {
    return RedisModule_ReplyWithSimpleString(ctx, stock_status_word(STOCK_OK));
}

bool finish_change(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, const stock_outcome *outcome,
                   const char *what, const RedisModuleString *value) {
    statistics_count(outcome);
    // All events but the command's own are expiries of holds.
    uint32_t own = outcome->fault == STOCK_FAULT_NONE && outcome->status == STOCK_OK && outcome->sequence != 0;
    if (__builtin_expect(outcome->events > own, 0))
        statistics_count_expired(outcome->events - own, false);
    if (outcome->changed)
        propagate(ctx, name, entry, outcome->turn);
    if (outcome->fault == STOCK_FAULT_NONE)
        return true;
    reply_fault(ctx, outcome->fault, what, value);
    return false;
}

int finish(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *entry, const stock_outcome *outcome,
           const char *what, const RedisModuleString *value) {
    return finish_change(ctx, name, entry, outcome, what, value) ? reply_outcome(ctx, name, outcome) : REDISMODULE_OK;
}
