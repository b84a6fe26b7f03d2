// The one table of the commands: what registers them, checks their arity and describes them in `COMMAND DOCS`.
#include "doorbuster_module.h"

#define READS (REDISMODULE_CMD_KEY_RO | REDISMODULE_CMD_KEY_ACCESS)
#define INSERTS (REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_INSERT)
#define CHANGES (REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_UPDATE)

#define ARGUMENTS(...)                                                                                                 \
    (RedisModuleCommandArg[]) {                                                                                        \
        __VA_ARGS__, {                                                                                                 \
            0                                                                                                          \
        }                                                                                                              \
    }
#define ARGUMENT(label, kind, ...)                                                                                     \
    { .name = label, .type = REDISMODULE_ARG_TYPE_##kind, .key_spec_index = -1, __VA_ARGS__ }
#define KEY                                                                                                            \
    { .name = "key", .type = REDISMODULE_ARG_TYPE_KEY, .key_spec_index = 0 }
#define OPTION(label, kind, word) ARGUMENT(label, kind, .token = word, .flags = REDISMODULE_CMD_ARG_OPTIONAL)
#define FLAG(label, word) OPTION(label, PURE_TOKEN, word)

typedef struct command {
    const char *name;
    RedisModuleCmdFunc run;
    const char *flags;
    int arity;
    uint64_t key_flags;
    const char *summary;
    const char *complexity;
    RedisModuleCommandArg *arguments;
} command;

// Giving back must work when memory is full, so only what takes is refused then.
static const command commands[] = {
    {"STOCK.CREATE", command_create, "write deny-oom fast", -3, INSERTS,
     "Creates a bucket with a quantity of stock on sale.", "O(1)",
     ARGUMENTS(KEY, ARGUMENT("quantity", INTEGER), OPTION("buckets", INTEGER, "BUCKETS"),
               OPTION("limit", INTEGER, "LIMIT"), OPTION("opens", INTEGER, "OPENS"),
               OPTION("closes", INTEGER, "CLOSES"))},
    {"STOCK.SCHEDULE", command_schedule, "write", -4, CHANGES,
     "Sets the limit a user and the time window of a bucket's sale.",
     "O(1); O(N) for the first limit of a bucket, where N is the number of its events",
     ARGUMENTS(KEY, OPTION("limit", INTEGER, "LIMIT"), OPTION("opens", INTEGER, "OPENS"),
               OPTION("closes", INTEGER, "CLOSES"))},
    {"STOCK.DEDUCT", command_deduct, "write deny-oom fast", -5, CHANGES,
     "Sells a quantity to a user under a token, which counts once.", "O(1)",
     ARGUMENTS(KEY, ARGUMENT("user", STRING), ARGUMENT("token", STRING), ARGUMENT("quantity", INTEGER))},
    {"STOCK.CANCEL", command_cancel, "write fast", -3, CHANGES, "Cancels a purchase and puts its units back on sale.",
     "O(1)", ARGUMENTS(KEY, ARGUMENT("token", STRING), FLAG("fence", "FENCE"), FLAG("offsale", "OFFSALE"))},
    {"STOCK.FENCE", command_fence, "write fast", 3, CHANGES,
     "Marks an unknown token cancelled, so that a deduction still on its way is refused.", "O(1)",
     ARGUMENTS(KEY, ARGUMENT("token", STRING))},
    {"STOCK.ADD", command_add, "write deny-oom fast", 4, CHANGES,
     "Puts more stock on sale, or takes unsold stock off, under a token, which counts once.", "O(1)",
     ARGUMENTS(KEY, ARGUMENT("token", STRING), ARGUMENT("quantity", INTEGER))},
    {"STOCK.GET", command_get, "readonly fast", 3, READS, "Tells what became of a token.", "O(1)",
     ARGUMENTS(KEY, ARGUMENT("token", STRING))},
    {"STOCK.INFO", command_info, "readonly fast", 2, READS, "Tells the books and settings of a bucket.", "O(1)",
     ARGUMENTS(KEY)},
    {"STOCK.LOG", command_log, "readonly", -3, READS, "Reads the events of a bucket after a sequence number.",
     "O(log(N)+M), where N is the number of the bucket's events and M the number of those returned",
     ARGUMENTS(KEY, ARGUMENT("after", INTEGER), OPTION("count", INTEGER, "COUNT"), OPTION("epoch", INTEGER, "EPOCH"))},
    {"STOCK.TRIM", command_trim, "write", -3, CHANGES,
     "Drops the events of a bucket up to a sequence number; their tokens stay known.",
     "O(N), where N is the number of events dropped",
     ARGUMENTS(KEY, ARGUMENT("sequence", INTEGER), OPTION("epoch", INTEGER, "EPOCH"))},
    {"STOCK.APPLY", command_apply, "write admin", 3, CHANGES,
     "Internal: applies a change of the master or of the append-only file.",
     "O(N), where N is the number of events in the payload", ARGUMENTS(KEY, ARGUMENT("payload", STRING))},
};

static const RedisModuleCommandInfoVersion info_version = {
    .version = 1,
    .sizeof_historyentry = sizeof(RedisModuleCommandHistoryEntry),
    .sizeof_keyspec = sizeof(RedisModuleCommandKeySpec),
    .sizeof_arg = sizeof(RedisModuleCommandArg),
};

static int describe(RedisModuleCtx *ctx, const command *command) {
    RedisModuleCommandKeySpec keys[] = {
        {.flags = command->key_flags,
         .begin_search_type = REDISMODULE_KSPEC_BS_INDEX,
         .bs.index.pos = 1,
         .find_keys_type = REDISMODULE_KSPEC_FK_RANGE,
         .fk.range = {.lastkey = 0, .keystep = 1, .limit = 0}},
        {0},
    };
    RedisModuleCommandInfo info = {
        .version = &info_version,
        .summary = command->summary,
        .complexity = command->complexity,
        .since = MODULE_VERSION_TEXT,
        .arity = command->arity,
        .key_specs = keys,
        .args = command->arguments,
    };
    return RedisModule_SetCommandInfo(RedisModule_GetCommand(ctx, command->name), &info);
}

int commands_register(RedisModuleCtx *ctx) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const command *command = &commands[i];
        if (RedisModule_CreateCommand(ctx, command->name, command->run, command->flags, 1, 1, 1) != REDISMODULE_OK ||
            describe(ctx, command) != REDISMODULE_OK) {
            RedisModule_Log(ctx, "warning", "the command %s can't be registered", command->name);
            return REDISMODULE_ERR;
        }
    }
    return REDISMODULE_OK;
}
