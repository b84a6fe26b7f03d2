// Freezing all buckets of this server where writes may be missing, and the configuration `doorbuster.freeze`.
#include "doorbuster_module.h"
#include "registry.h"
#include <strings.h>

// When buckets come up frozen: `auto` if writes may be missing, `yes` also where an append-only file that is synced
// always has all of them, `no` only if changes are known to be missing.
typedef enum { FREEZE_AUTO, FREEZE_YES, FREEZE_NO } freeze_setting;

enum { FREEZE_BYTES_MAX = 64 };

static const char *setting_words[] = {"auto", "yes", "no"};
static const int settings[] = {FREEZE_AUTO, FREEZE_YES, FREEZE_NO};
static int setting = FREEZE_AUTO;

bool freezing_is_pending;
static stock_freeze_reason pending_reason;
static uint64_t pending_seed;
// Whether buckets are known to miss changes, and don't tell so yet by being frozen.
static bool are_changes_missing;

static int get_setting(const char *name, void *data) {
    (void)name;
    (void)data;
    return setting;
}

static int set_setting(const char *name, int value, void *data, RedisModuleString **error) {
    (void)name;
    (void)data;
    (void)error;
    setting = value;
    return REDISMODULE_OK;
}

const char *freezing_setting_word(void) {
    return setting_words[setting];
}

int freezing_register(RedisModuleCtx *ctx) {
    if (RedisModule_RegisterEnumConfig(ctx, "freeze", FREEZE_AUTO, REDISMODULE_CONFIG_DEFAULT, setting_words, settings,
                                       sizeof settings / sizeof *settings, get_setting, set_setting, NULL,
                                       NULL) != REDISMODULE_OK)
        return REDISMODULE_ERR;
    return RedisModule_LoadConfigs(ctx);
}

void freezing_propagate(RedisModuleCtx *ctx) {
    char payload[FREEZE_BYTES_MAX];
    size_t count = stock_encode_freeze(pending_reason, pending_seed, payload);
    freezing_is_pending = false;
    RedisModule_Replicate(ctx, "STOCK.APPLY", "cb", "", payload, count);
}

// Propagates later. A promotion happens within a command of the server's own, as REPLICAOF, which the server would take
// for one that has written, and propagate itself, if anything were propagated meanwhile; and there may be a write
// pause.
static void freeze_all(RedisModuleCtx *ctx, stock_freeze_reason reason) {
    size_t count = registry_count();
    are_changes_missing = false;
    if (count == 0)
        return;
    RedisModule_GetRandomBytes((unsigned char *)&pending_seed, sizeof pending_seed);
    pending_reason = reason;
    freezing_is_pending = true;
    registry_freeze_anew(ctx, reason, pending_seed);
    RedisModule_Log(ctx, "notice", "all buckets (%zu) are frozen in a new epoch, as writes may be missing: %s", count,
                    stock_freeze_word(reason));
    server_events_await_sleep(ctx);
}

void freezing_at_promotion(RedisModuleCtx *ctx) {
    if (setting != FREEZE_NO || are_changes_missing)
        freeze_all(ctx, STOCK_FROZEN_PROMOTION);
}

void freezing_note_missing(void) {
    are_changes_missing = true;
}

void freezing_after_sync(void) {
    are_changes_missing = false;
}

void freezing_at_demotion(void) {
    freezing_is_pending = false;
}

// A server that hides CONFIG is taken to have any other value.
static bool has_setting(RedisModuleCtx *ctx, const char *name, const char *expected) {
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "CONFIG", "cc", "GET", name);
    if (reply == NULL)
        return false;
    RedisModuleCallReply *value = RedisModule_CallReplyArrayElement(reply, 1);
    size_t count = 0;
    const char *text = value == NULL ? NULL : RedisModule_CallReplyStringPtr(value, &count);
    bool is_expected = text != NULL && count == strlen(expected) && strncasecmp(text, expected, count) == 0;
    RedisModule_FreeCallReply(reply);
    return is_expected;
}

// Whether the append-only file has every write that was acknowledged. While a child process saves or rewrites, the
// server leaves the syncing out, even if it is to sync always, unless no-appendfsync-on-rewrite forbids it to.
static bool is_always_synced(RedisModuleCtx *ctx) {
    return has_setting(ctx, "appendfsync", "always") && has_setting(ctx, "no-appendfsync-on-rewrite", "no");
}

static bool may_start_lack_writes(RedisModuleCtx *ctx, bool from_aof) {
    switch ((freeze_setting)setting) {
    case FREEZE_NO:
        return false;
    case FREEZE_AUTO:
        return !from_aof || !is_always_synced(ctx);
    case FREEZE_YES:
        break;
    }
    return true;
}

// The server skips a change that the module refuses, and goes on with those behind it: the bucket is as it was before
// the refused one, and knows nothing of what was acknowledged since. That is sure, so no setting lets it sell.
void freezing_at_start(RedisModuleCtx *ctx, bool from_aof) {
    if (are_changes_missing)
        RedisModule_Log(ctx, "warning",
                        "changes of the append-only file were refused, or its end is missing: buckets miss what was "
                        "acknowledged");
    if (are_changes_missing || may_start_lack_writes(ctx, from_aof))
        freeze_all(ctx, STOCK_FROZEN_LOAD);
}

bool freezing_apply(RedisModuleCtx *ctx, stock_bytes payload) {
    stock_freeze_reason reason;
    uint64_t seed;
    if (!stock_decode_freeze(payload, &reason, &seed))
        return false;
    registry_freeze_anew(ctx, reason, seed);
    return true;
}
