// `INFO doorbuster`: what the commands of this server's clients did since the module was loaded.
#include "doorbuster_module.h"
#include <stdatomic.h>
#include <stdio.h>

#define STATUS_COUNT (STOCK_UNKNOWN + 1)

static unsigned long long outcomes[STATUS_COUNT];
static unsigned long long events;
static unsigned long long faults;
// Lazy free runs in a thread of its own.
static atomic_llong buckets;

void statistics_count(stock_outcome outcome) {
    if (outcome.fault != STOCK_FAULT_NONE) {
        faults++;
        return;
    }
    outcomes[outcome.status]++;
    events += outcome.changed;
}

void statistics_bucket_made(void) {
    atomic_fetch_add_explicit(&buckets, 1, memory_order_relaxed);
}
void statistics_bucket_freed(void) {
    atomic_fetch_sub_explicit(&buckets, 1, memory_order_relaxed);
}

static void report(RedisModuleInfoCtx *info, int for_crash_report) {
    (void)for_crash_report;
    if (RedisModule_InfoAddSection(info, "") != REDISMODULE_OK)
        return;
    RedisModule_InfoAddFieldCString(info, "version", MODULE_VERSION_TEXT);
    RedisModule_InfoAddFieldULongLong(info, "buckets", (unsigned long long)atomic_load(&buckets));
    RedisModule_InfoAddFieldULongLong(info, "events", events);
    RedisModule_InfoAddFieldULongLong(info, "faults", faults);
    for (int status = 0; status < STATUS_COUNT; status++) {
        char field[32];
        snprintf(field, sizeof field, "status_%s", stock_status_word((stock_status)status));
        RedisModule_InfoAddFieldULongLong(info, field, outcomes[status]);
    }
}

int statistics_register(RedisModuleCtx *ctx) {
    return RedisModule_RegisterInfoFunc(ctx, report);
}
