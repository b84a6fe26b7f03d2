// Replies that are made once and copied from then on. Asked for a simple string, the server copies it, searches the
// copy for line breaks and frees it, each time: a fifth of what a refusal costs. What a command has answered it sends
// as it is; so STOCK.APPLY, called by the module itself, answers each of these replies once.
#include "doorbuster_module.h"
#include "handling.h"

// Where a slot is being imported the call may be refused, and is tried again; where it never goes through, not for
// ever.
enum { TRIES_MAX = 8 };

typedef struct ready_reply {
    RedisModuleCallReply *reply;
    unsigned tries;
} ready_reply;

// The status alone, and with both numbers zero: what a refusal of a bucket that has nothing left answers.
static ready_reply words[STOCK_STATUS_COUNT];
static ready_reply refusals[STOCK_STATUS_COUNT];

// What is being made.
static const char *asked_word;
static bool is_refusal_asked;

static int reply_in_full(RedisModuleCtx *ctx, const char *word, int64_t remaining, int64_t sequence) {
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithSimpleString(ctx, word);
    RedisModule_ReplyWithLongLong(ctx, remaining);
    return RedisModule_ReplyWithLongLong(ctx, sequence);
}

bool ready_replies_answer(RedisModuleCtx *ctx) {
    if (asked_word == NULL)
        return false;
    if (is_refusal_asked)
        reply_in_full(ctx, asked_word, 0, 0);
    else
        RedisModule_ReplyWithSimpleString(ctx, asked_word);
    return true;
}

static void make(RedisModuleCtx *ctx, const RedisModuleString *name, ready_reply *ready, const char *word,
                 bool is_refusal) {
    ready->tries++;
    asked_word = word;
    is_refusal_asked = is_refusal;
    RedisModuleCallReply *reply = RedisModule_Call(ctx, "STOCK.APPLY", "sc", name, "");
    asked_word = NULL;
    int type = is_refusal ? REDISMODULE_REPLY_ARRAY : REDISMODULE_REPLY_STRING;
    if (reply == NULL || RedisModule_CallReplyType(reply) == type)
        ready->reply = reply;
    else
        RedisModule_FreeCallReply(reply);
}

// False where nothing was replied.
static inline bool reply_ready(RedisModuleCtx *ctx, const RedisModuleString *name, ready_reply *ready,
                               stock_status status, bool is_refusal) {
    if (__builtin_expect(ready->reply == NULL, 0)) {
        if (ready->tries == TRIES_MAX)
            return false;
        make(ctx, name, ready, stock_status_word(status), is_refusal);
    }
    return ready->reply != NULL && RedisModule_ReplyWithCallReply(ctx, ready->reply) == REDISMODULE_OK;
}

// In a cluster the node serves no slot yet, and the call is refused: there each is made when it is first needed.
void ready_replies_make(RedisModuleCtx *ctx) {
    RedisModuleString *name = RedisModule_CreateString(ctx, "", 0);
    for (int status = 0; status < STOCK_STATUS_COUNT; status++) {
        make(ctx, name, &words[status], stock_status_word((stock_status)status), false);
        make(ctx, name, &refusals[status], stock_status_word((stock_status)status), true);
    }
    RedisModule_FreeString(ctx, name);
}

int reply_outcome(RedisModuleCtx *ctx, const RedisModuleString *name, const stock_outcome *outcome) {
    stock_status status = outcome->status;
    if ((outcome->remaining | outcome->sequence) == 0 && reply_ready(ctx, name, &refusals[status], status, true))
        return REDISMODULE_OK;
    RedisModule_ReplyWithArray(ctx, 3);
    if (!reply_ready(ctx, name, &words[status], status, false))
        RedisModule_ReplyWithSimpleString(ctx, stock_status_word(status));
    RedisModule_ReplyWithLongLong(ctx, outcome->remaining);
    return RedisModule_ReplyWithLongLong(ctx, outcome->sequence);
}
