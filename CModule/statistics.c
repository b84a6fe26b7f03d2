// `INFO doorbuster`: what the commands of this server's clients did, and which changes were refused, since the module
// was loaded.
#include "doorbuster_module.h"
#include "registry.h"
#include <stdio.h>

static unsigned long long outcomes[STOCK_STATUS_COUNT];
static unsigned long long events;
static unsigned long long faults;
static unsigned long long refused_changes;
static unsigned long long expired_by_commands;
static unsigned long long expired_by_timer;

void statistics_count(const stock_outcome *outcome) {
    events += outcome->events;
    if (outcome->fault == STOCK_FAULT_NONE)
        outcomes[outcome->status]++;
    else
        faults++;
}

void statistics_count_expired(uint32_t holds, bool by_timer) {
    if (by_timer) {
        expired_by_timer += holds;
        events += holds;
    } else {
        expired_by_commands += holds;
    }
}

void statistics_count_refused_change(void) {
    refused_changes++;
}

static void report(RedisModuleInfoCtx *info, int for_crash_report) {
    if (RedisModule_InfoAddSection(info, "") != REDISMODULE_OK)
        return;
    RedisModule_InfoAddFieldCString(info, "version", MODULE_VERSION_TEXT);
    RedisModule_InfoAddFieldCString(info, "freeze", freezing_setting_word());
    // A crashed thread may have left the registry locked.
    if (!for_crash_report) {
        RedisModule_InfoAddFieldULongLong(info, "buckets", registry_count());
        RedisModule_InfoAddFieldULongLong(info, "frozen_buckets", registry_count_frozen());
    }
    RedisModule_InfoAddFieldULongLong(info, "events", events);
    RedisModule_InfoAddFieldULongLong(info, "faults", faults);
    RedisModule_InfoAddFieldULongLong(info, "refused_changes", refused_changes);
    RedisModule_InfoAddFieldULongLong(info, "holds_expired_by_commands", expired_by_commands);
    RedisModule_InfoAddFieldULongLong(info, "holds_expired_by_timer", expired_by_timer);
    for (int status = 0; status < STOCK_STATUS_COUNT; status++) {
        char field[32];
        snprintf(field, sizeof field, "status_%s", stock_status_word((stock_status)status));
        RedisModule_InfoAddFieldULongLong(info, field, outcomes[status]);
    }
}

int statistics_register(RedisModuleCtx *ctx) {
    return RedisModule_RegisterInfoFunc(ctx, report);
}
