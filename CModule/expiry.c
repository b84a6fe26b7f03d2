// Holds that nobody confirms end by a timer: on a master, as long as any hold is queued, in small steps between the
// commands of clients. Commands expire what they need themselves.
#include "doorbuster_module.h"
#include "handling.h"

enum {
    // How long the timer sleeps at most while holds are queued: so nothing has to wake it for an earlier one, and the
    // clock may be set forward.
    POLL_MS = 100,
    // How late it is at most before it is set anew.
    LATE_MS = 200,
    // How soon it goes on with holds that are due already, and when a write pause should be over.
    CONTINUE_MS = 3,
    PAUSED_MS = 20,
    // What it does in one go: holds at most, in changes of so many, until so much time is over.
    STEP_HOLDS = 1000,
    CHANGE_HOLDS = 100,
    STEP_US = 700,
};

// Timers are made from places that have no context of their own.
static RedisModuleCtx *timer_ctx;
static bool is_armed;
static RedisModuleTimerID timer;
// When the timer has to have come, by a clock that nobody sets.
static uint64_t latest_us;

static void step(RedisModuleCtx *ctx, void *data);

static void arm(long long ms) {
    is_armed = true;
    latest_us = RedisModule_MonotonicMicroseconds() + (uint64_t)(ms + LATE_MS) * 1000;
    timer = RedisModule_CreateTimer(timer_ctx, ms, step, NULL);
}

// Redis' timers follow the clock of the machine: where it is set back, one that runs comes as much later.
void expiry_watch(void) {
    if (!is_armed || RedisModule_MonotonicMicroseconds() < latest_us)
        return;
    RedisModule_StopTimer(timer_ctx, timer, NULL);
    arm(1);
}

void expiry_wake(void) {
    if (is_armed || server_is_replica || server_is_loading)
        return;
    int64_t due = registry_next_due();
    if (due == 0)
        return;
    int64_t rest = due - RedisModule_Milliseconds();
    arm(rest < 1 ? 1 : rest < POLL_MS ? rest : POLL_MS);
}

// Expires some holds of one bucket. The entry is used only if the key has it.
static void expire(RedisModuleCtx *ctx, RedisModuleString *name, bucket_entry *due, int64_t now) {
    bucket_entry *entry = NULL;
    if (find_bucket(ctx, name, OPEN_TO_CHANGE | REDISMODULE_OPEN_KEY_NOTOUCH, &entry) != BUCKET_FOUND || entry != due) {
        registry_drop_first(due);
        return;
    }
    stock_outcome outcome = stock_expire(entry->bucket, CHANGE_HOLDS, now);
    statistics_count_expired(outcome.events, true);
    if (outcome.changed)
        propagate(ctx, name, entry, outcome.turn);
    else
        registry_note(entry);
}

// Expires holds until none is due or it is enough for once; whether some may be left.
static bool expire_some(RedisModuleCtx *ctx, int64_t now) {
    uint64_t end = RedisModule_MonotonicMicroseconds() + STEP_US;
    for (int holds = 0; holds < STEP_HOLDS; holds += CHANGE_HOLDS) {
        int db;
        bucket_entry *entry;
        RedisModuleString *name = registry_first_due(ctx, now, &db, &entry);
        if (name == NULL)
            return false;
        RedisModule_SelectDb(ctx, db);
        expire(ctx, name, entry, now);
        RedisModule_FreeString(ctx, name);
        if (RedisModule_MonotonicMicroseconds() >= end)
            break;
    }
    return true;
}

static void step(RedisModuleCtx *ctx, void *data) {
    (void)data;
    is_armed = false;
    if (!server_is_master(ctx) || server_is_loading) {
        // The end of either wakes the timer. A node of a cluster may be on its way to become a replica.
        if (!server_is_replica && !server_is_loading)
            arm(POLL_MS);
        return;
    }
    if (RedisModule_AvoidReplicaTraffic()) {
        if (registry_next_due() != 0)
            arm(PAUSED_MS);
        return;
    }
    if (freezing_is_pending)
        freezing_propagate(ctx);
    if (expire_some(ctx, RedisModule_Milliseconds()))
        arm(CONTINUE_MS);
    else
        expiry_wake();
}

void expiry_register(RedisModuleCtx *ctx) {
    timer_ctx = RedisModule_GetDetachedThreadSafeContext(ctx);
}
