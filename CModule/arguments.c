#include "arguments.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { SHOWN_BYTES = 48, MESSAGE_BYTES = 512, DIGITS_MAX = 16 };

// Up to SHOWN_BYTES of the value with anything unprintable as `?`: a line break would end the error reply.
static void show(const RedisModuleString *value, char shown[SHOWN_BYTES + 4]) {
    size_t count;
    const char *bytes = RedisModule_StringPtrLen(value, &count);
    size_t kept = count < SHOWN_BYTES ? count : SHOWN_BYTES;
    for (size_t i = 0; i < kept; i++)
        shown[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?';
    strcpy(shown + kept, count > kept ? "..." : "");
}

int reply_argument_error(RedisModuleCtx *ctx, const char *what, const RedisModuleString *value, const char *must) {
    char shown[SHOWN_BYTES + 4], message[MESSAGE_BYTES];
    show(value, shown);
    snprintf(message, sizeof message, "ERR %s is '%s', must be %s", what, shown, must);
    return RedisModule_ReplyWithError(ctx, message);
}

int reply_named_error(RedisModuleCtx *ctx, const char *code, const char *what, const RedisModuleString *value,
                      const char *text) {
    char shown[SHOWN_BYTES + 4], message[MESSAGE_BYTES];
    show(value, shown);
    snprintf(message, sizeof message, "%s %s '%s': %s", code, what, shown, text);
    return RedisModule_ReplyWithError(ctx, message);
}

static bool read_number(const char *text, size_t count, bool may_be_negative, int64_t *number) {
    bool negative = may_be_negative && count > 0 && text[0] == '-';
    const char *digits = text + negative;
    size_t digit_count = count - negative;
    if (digit_count == 0 || digit_count > DIGITS_MAX)
        return false;
    if (digits[0] == '0' && (digit_count > 1 || negative))
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < digit_count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        value = value * 10 + (digits[i] - '0');
    }
    *number = negative ? -value : value;
    return true;
}

bool parse_number(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, int64_t min, int64_t max,
                  int64_t *number) {
    size_t count;
    const char *text = RedisModule_StringPtrLen(argument, &count);
    if (read_number(text, count, min < 0, number) && *number >= min && *number <= max)
        return true;
    char must[128];
    snprintf(must, sizeof must, "an integer from %" PRId64 " to %" PRId64, min, max);
    reply_argument_error(ctx, what, argument, must);
    return false;
}

bool parse_name(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, stock_bytes *name) {
    name->start = RedisModule_StringPtrLen(argument, &name->count);
    if (name->count >= 1 && name->count <= STOCK_NAME_BYTES_MAX)
        return true;
    char must[64];
    snprintf(must, sizeof must, "1 to %d bytes, not %zu", STOCK_NAME_BYTES_MAX, name->count);
    reply_argument_error(ctx, what, argument, must);
    return false;
}

static option *find_option(const RedisModuleString *argument, option *options, size_t count) {
    size_t length;
    const char *word = RedisModule_StringPtrLen(argument, &length);
    for (size_t i = 0; i < count; i++) {
        if (strlen(options[i].word) == length && strncasecmp(options[i].word, word, length) == 0)
            return &options[i];
    }
    return NULL;
}

static void reply_unknown_option(RedisModuleCtx *ctx, const RedisModuleString *argument, const option *options,
                                 size_t count) {
    char must[MESSAGE_BYTES / 2] = "left out";
    size_t used = count == 0 ? 0 : (size_t)snprintf(must, sizeof must, "one of");
    for (size_t i = 0; i < count && used < sizeof must; i++)
        used += (size_t)snprintf(must + used, sizeof must - used, "%s %s", i == 0 ? "" : ",", options[i].word);
    reply_argument_error(ctx, "option", argument, must);
}

bool parse_options(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, int first, option *options, size_t count) {
    for (int i = first; i < argc; i++) {
        option *found = find_option(argv[i], options, count);
        if (found == NULL) {
            reply_unknown_option(ctx, argv[i], options, count);
            return false;
        }
        if (found->given) {
            reply_argument_error(ctx, "option", argv[i], "given once");
            return false;
        }
        found->given = true;
        if (found->value == NULL)
            continue;
        if (i + 1 == argc) {
            reply_argument_error(ctx, "option", argv[i], "followed by a number");
            return false;
        }
        if (!parse_number(ctx, found->word, argv[++i], found->min, found->max, found->value))
            return false;
    }
    return true;
}
