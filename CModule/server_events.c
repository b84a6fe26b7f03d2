// What the module hears of its server: its role, loading, and where keys move to.
#include "arguments.h"
#include "doorbuster_module.h"
#include "handling.h"

bool server_is_replica;
bool server_is_loading;
// Until the event loop sleeps for the first time: only what is loaded before is a start.
static bool is_started;
static enum { LOADED_NOTHING, LOADED_RDB, LOADED_AOF } loaded_at_start;

static bool is_loading_from_master;
static bool is_leaving_sleep;
static const RedisModuleEvent event_loop = {.id = REDISMODULE_EVENT_EVENTLOOP, .version = 1};

bool server_is_master(RedisModuleCtx *ctx) {
    if (server_is_replica)
        return false;
    const char *own = RedisModule_GetMyClusterID();
    if (own == NULL)
        return true;
    // The server doesn't end the identity by a zero.
    char identity[REDISMODULE_NODE_ID_LEN + 1] = {0};
    int flags = 0;
    memcpy(identity, own, REDISMODULE_NODE_ID_LEN);
    if (RedisModule_GetClusterNodeInfo(ctx, identity, NULL, NULL, NULL, &flags) != REDISMODULE_OK)
        return true;
    return (flags & REDISMODULE_NODE_MASTER) != 0;
}

static void hear_of_role(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event;
    (void)data;
    bool was_replica = server_is_replica;
    server_is_replica = subevent != REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER;
    if (server_is_replica) {
        freezing_at_demotion();
    } else if (was_replica) {
        freezing_at_promotion(ctx);
        expiry_wake();
    }
}

static void hear_of_loading(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx;
    (void)event;
    (void)data;
    if (subevent == REDISMODULE_SUBEVENT_LOADING_ENDED && is_loading_from_master)
        freezing_after_sync();
    is_loading_from_master = subevent == REDISMODULE_SUBEVENT_LOADING_REPL_START;
    server_is_loading =
        subevent != REDISMODULE_SUBEVENT_LOADING_ENDED && subevent != REDISMODULE_SUBEVENT_LOADING_FAILED;
    if (subevent == REDISMODULE_SUBEVENT_LOADING_RDB_START && !is_started)
        loaded_at_start = LOADED_RDB;
    if (subevent == REDISMODULE_SUBEVENT_LOADING_AOF_START && !is_started)
        loaded_at_start = LOADED_AOF;
    if (!server_is_loading)
        expiry_wake();
}

// An append-only file that was rewritten holds a bucket in parts. Where its end is missing, so may be tokens: such a
// bucket would sell them again, and what is saved of it could not be loaded. On a replica too, which may be promoted
// before it has found its master: the DEL goes into its own file alone there. Others may be missing whole.
static void drop_incomplete_buckets(RedisModuleCtx *ctx) {
    int db;
    RedisModuleString *name;
    while ((name = registry_find_incomplete(ctx, &db)) != NULL) {
        freezing_note_missing();
        RedisModule_Log(ctx, "warning",
                        "bucket '%s' is dropped: the end of the append-only file is missing, and parts "
                        "of the bucket with it",
                        show(bytes_of(name)).text);
        RedisModule_SelectDb(ctx, db);
        RedisModuleKey *key = RedisModule_OpenKey(ctx, name, OPEN_TO_CHANGE);
        RedisModule_DeleteKey(key);
        RedisModule_CloseKey(key);
        RedisModule_Replicate(ctx, "DEL", "s", name);
        RedisModule_FreeString(ctx, name);
    }
}

// The first moment of a start at which the append-only file can take writes; no client has been heard yet.
static void start(RedisModuleCtx *ctx) {
    is_started = true;
    if (loaded_at_start == LOADED_AOF)
        drop_incomplete_buckets(ctx);
    if (loaded_at_start != LOADED_NOTHING && server_is_master(ctx))
        freezing_at_start(ctx, loaded_at_start == LOADED_AOF);
}

// A listener can't be taken away while it is being called.
static void stop_hearing_of_sleep(RedisModuleCtx *ctx, void *data) {
    (void)data;
    is_leaving_sleep = false;
    if (!freezing_is_pending)
        RedisModule_SubscribeToServerEvent(ctx, event_loop, NULL);
}

static void hear_of_sleep(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)event;
    (void)data;
    if (subevent != REDISMODULE_SUBEVENT_EVENTLOOP_BEFORE_SLEEP)
        return;
    if (!is_started)
        start(ctx);
    if (freezing_is_pending && !RedisModule_AvoidReplicaTraffic())
        freezing_propagate(ctx);
    if (freezing_is_pending || is_leaving_sleep)
        return;
    is_leaving_sleep = true;
    RedisModule_CreateTimer(ctx, 1, stop_hearing_of_sleep, NULL);
}

void server_events_await_sleep(RedisModuleCtx *ctx) {
    RedisModule_SubscribeToServerEvent(ctx, event_loop, hear_of_sleep);
}

static void hear_of_cron(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx;
    (void)event;
    (void)subevent;
    (void)data;
    expiry_watch();
}

static void hear_of_flush(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx;
    (void)event;
    if (subevent == REDISMODULE_SUBEVENT_FLUSHDB_START)
        registry_lose_database(((const RedisModuleFlushInfo *)data)->dbnum);
}

static void hear_of_swap(RedisModuleCtx *ctx, RedisModuleEvent event, uint64_t subevent, void *data) {
    (void)ctx;
    (void)event;
    (void)subevent;
    const RedisModuleSwapDbInfo *info = data;
    registry_swap_databases(info->dbnum_first, info->dbnum_second);
}

// Renaming and moving keep the value and take its old key away. Whatever else puts a value under a key tells its place.
// A bucket that is restored behind a freeze, in the same go as a promotion, is none of those that it froze, here as on
// a replica: so the freeze is propagated before it.
static int hear_of_key(RedisModuleCtx *ctx, int type, const char *event, RedisModuleString *name) {
    (void)type;
    if (freezing_is_pending && strcmp(event, "restore") == 0)
        freezing_propagate(ctx);
    bucket_entry *entry = NULL;
    if (strcmp(event, "rename_to") == 0 || strcmp(event, "move_to") == 0)
        find_bucket(ctx, name, OPEN_TO_READ | REDISMODULE_OPEN_KEY_NOTOUCH, &entry);
    return REDISMODULE_OK;
}

int server_events_register(RedisModuleCtx *ctx) {
    server_is_replica = (RedisModule_GetContextFlags(ctx) & REDISMODULE_CTX_FLAGS_SLAVE) != 0;
    static const struct {
        RedisModuleEvent event;
        RedisModuleEventCallback hear;
    } events[] = {
        {{REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, 1}, hear_of_role},
        {{REDISMODULE_EVENT_LOADING, 1}, hear_of_loading},
        {{REDISMODULE_EVENT_FLUSHDB, 1}, hear_of_flush},
        {{REDISMODULE_EVENT_SWAPDB, 1}, hear_of_swap},
        {{REDISMODULE_EVENT_CRON_LOOP, 1}, hear_of_cron},
        {{REDISMODULE_EVENT_EVENTLOOP, 1}, hear_of_sleep},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (RedisModule_SubscribeToServerEvent(ctx, events[i].event, events[i].hear) != REDISMODULE_OK)
            return REDISMODULE_ERR;
    }
    return RedisModule_SubscribeToKeyspaceEvents(ctx, REDISMODULE_NOTIFY_GENERIC, hear_of_key);
}
