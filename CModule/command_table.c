// The one table of the commands: what registers them, checks their arity and describes them in `COMMAND DOCS`.
#include "command_table.h"
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
#define MORE_KEYS                                                                                                      \
    { .name = "key", .type = REDISMODULE_ARG_TYPE_KEY, .key_spec_index = 0, .flags = REDISMODULE_CMD_ARG_MULTIPLE }
#define OPTION(label, kind, word) ARGUMENT(label, kind, .token = word, .flags = REDISMODULE_CMD_ARG_OPTIONAL)
#define FLAG(label, word) OPTION(label, PURE_TOKEN, word)
#define WORDED(label, kind, word) ARGUMENT(label, kind, .token = word)
#define WORD(label, word) WORDED(label, PURE_TOKEN, word)
#define ONE_OF(label, ...) ARGUMENT(label, ONEOF, .subargs = ARGUMENTS(__VA_ARGS__))
#define BLOCK(label, ...) ARGUMENT(label, BLOCK, .subargs = ARGUMENTS(__VA_ARGS__))

#define STRING(label) ARGUMENT(label, STRING)
#define NUMBER(label) ARGUMENT(label, INTEGER)

// Giving back, recovering and looking after a sale must work when memory is full, so only what takes is refused then.
// STOCK.APPLY is no administrator's command: those are hidden from MONITOR, where a replica shows what it applies.
static const command commands[] = {
    {"STOCK.CREATE", command_create, "write deny-oom fast", -3, INSERTS,
     "Creates a bucket with a quantity of stock on sale.", "O(1)",
     ARGUMENTS(KEY, NUMBER("quantity"), OPTION("buckets", INTEGER, "BUCKETS"), OPTION("limit", INTEGER, "LIMIT"),
               OPTION("opens", INTEGER, "OPENS"), OPTION("closes", INTEGER, "CLOSES"), FLAG("frozen", "FROZEN"))},
    {"STOCK.SCHEDULE", command_schedule, "write", -4, CHANGES,
     "Sets the limit a user and the time window of a bucket's sale.",
     "O(1); O(N) for the first limit of a bucket, where N is the number of its events and tokens",
     ARGUMENTS(KEY, OPTION("limit", INTEGER, "LIMIT"), OPTION("opens", INTEGER, "OPENS"),
               OPTION("closes", INTEGER, "CLOSES"))},
    {"STOCK.DEDUCT", command_deduct, "write deny-oom fast", -5, CHANGES,
     "Sells a quantity to a user under a token, which counts once, or holds it for a while.",
     "O(1); O(M) where M holds that are due must expire first",
     ARGUMENTS(KEY, STRING("user"), STRING("token"), NUMBER("quantity"), OPTION("milliseconds", INTEGER, "HOLD"))},
    {"STOCK.CONFIRM", command_confirm, "write fast", 3, CHANGES, "Sells what is held under a token.",
     "O(log(N)), where N is the number of holds", ARGUMENTS(KEY, STRING("token"))},
    {"STOCK.CANCEL", command_cancel, "write fast", -3, CHANGES, "Cancels a purchase and puts its units back on sale.",
     "O(1) of what is sold; O(log(N)) of what is held, where N is the number of holds",
     ARGUMENTS(KEY, STRING("token"), FLAG("fence", "FENCE"), FLAG("offsale", "OFFSALE"))},
    {"STOCK.FENCE", command_fence, "write fast", 3, CHANGES,
     "Marks an unknown token cancelled, so that a deduction still on its way is refused.", "O(1)",
     ARGUMENTS(KEY, STRING("token"))},
    {"STOCK.ADD", command_add, "write deny-oom fast", 4, CHANGES,
     "Puts more stock on sale, or takes unsold stock off, under a token, which counts once.",
     "O(1); O(M) where M holds that are due must expire first", ARGUMENTS(KEY, STRING("token"), NUMBER("quantity"))},
    {"STOCK.GET", command_get, "readonly fast", 3, READS, "Tells what became of a token.", "O(1)",
     ARGUMENTS(KEY, STRING("token"))},
    {"STOCK.INFO", command_info, "readonly fast", 2, READS, "Tells the books and settings of a bucket.", "O(1)",
     ARGUMENTS(KEY)},
    {"STOCK.LOG", command_log, "readonly", -3, READS, "Reads the events of a bucket after a sequence number.",
     "O(log(N)+M), where N is the number of the bucket's events and M the number of those returned",
     ARGUMENTS(KEY, NUMBER("after"), OPTION("count", INTEGER, "COUNT"), OPTION("epoch", INTEGER, "EPOCH"))},
    {"STOCK.TRIM", command_trim, "write", -3, CHANGES,
     "Drops the events of a bucket up to a sequence number; their tokens stay known.",
     "O(N), where N is the number of events dropped",
     ARGUMENTS(KEY, NUMBER("sequence"), OPTION("epoch", INTEGER, "EPOCH"))},
    {"STOCK.WITHDRAW", command_withdraw, "write deny-oom fast", 6, CHANGES,
     "Takes up to a quantity off sale into a named transfer to another bucket.",
     "O(1); O(M) where M holds that are due must expire first",
     ARGUMENTS(KEY, STRING("transfer"), NUMBER("quantity"), WORDED("bucket", INTEGER, "TO"))},
    {"STOCK.DEPOSIT", command_deposit, "write fast", 6, CHANGES,
     "Puts the units of a named transfer from another bucket on sale, once.", "O(1)",
     ARGUMENTS(KEY, STRING("transfer"), NUMBER("quantity"), WORDED("bucket", INTEGER, "FROM"))},
    {"STOCK.SETTLE", command_settle, "write fast", 3, CHANGES, "Closes a transfer; its name stays known.", "O(1)",
     ARGUMENTS(KEY, STRING("transfer"))},
    {"STOCK.TRANSFERS", command_transfers, "readonly", -2, READS,
     "Reads the open transfers of a bucket, or all, in order of making.",
     "O(M), where M is the number of transfers from AFTER on until the last one returned",
     ARGUMENTS(KEY, FLAG("all", "ALL"), OPTION("transfer", STRING, "AFTER"), OPTION("count", INTEGER, "COUNT"))},
    {"STOCK.FREEZE", command_freeze, "write fast", 2, CHANGES,
     "Freezes a bucket for an operator: it sells nothing until it is thawed.", "O(1)", ARGUMENTS(KEY)},
    {"STOCK.THAW", command_thaw, "write fast", -2, CHANGES, "Takes the reason away for which a bucket is frozen.",
     "O(1)", ARGUMENTS(KEY, OPTION("epoch", INTEGER, "EPOCH"))},
    {"STOCK.RECORD", command_record, "write fast", -5, CHANGES,
     "Writes in a purchase, a half of a transfer or a restock that the bucket has lost.",
     "O(1); O(M) where M holds that are due must expire first",
     ARGUMENTS(KEY, ONE_OF("what",
                           BLOCK("purchase", STRING("user"), STRING("token"), NUMBER("quantity"),
                                 ONE_OF("state", WORD("held", "held"), WORD("sold", "sold"),
                                        WORD("cancelled", "cancelled"), WORD("rejected", "rejected"))),
                           BLOCK("transfer", WORDED("name", STRING, "TRANSFER"),
                                 ONE_OF("direction", WORD("out", "OUT"), WORD("in", "IN")), NUMBER("peer"),
                                 NUMBER("quantity")),
                           BLOCK("restock", WORDED("token", STRING, "RESTOCK"), NUMBER("quantity"))))},
    {"STOCK.REBALANCE", command_rebalance, "write getkeys-api", -3, CHANGES,
     "Shares the available stock of buckets on one server out, evenly or by weights.",
     "O(N), where N is the number of keys",
     ARGUMENTS(KEY, MORE_KEYS,
               ARGUMENT("weight", INTEGER, .token = "WEIGHTS",
                        .flags = REDISMODULE_CMD_ARG_OPTIONAL | REDISMODULE_CMD_ARG_MULTIPLE))},
    {"STOCK.APPLY", command_apply, "write", 3, CHANGES,
     "Internal: applies a change of the master or of the append-only file.",
     "O(N), where N is the number of events in the payload", ARGUMENTS(KEY, STRING("payload"))},
};

const command *command_table(size_t *count) {
    *count = sizeof commands / sizeof *commands;
    return commands;
}
