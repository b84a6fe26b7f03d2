#include "arguments.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { MESSAGE_BYTES = 512, DIGITS_MAX = 16, OPTIONS_MAX = 8 };

stock_bytes bytes_of(const RedisModuleString *value) {
    stock_bytes bytes;
    bytes.start = RedisModule_StringPtrLen(value, &bytes.count);
    return bytes;
}

shown_value show(stock_bytes value) {
    shown_value shown;
    const char *bytes = value.start;
    size_t kept = value.count < SHOWN_BYTES ? value.count : SHOWN_BYTES;
    for (size_t i = 0; i < kept; i++)
        shown.text[i] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '?';
    strcpy(shown.text + kept, value.count > kept ? "..." : "");
    return shown;
}

int reply_value_error(RedisModuleCtx *ctx, const char *what, stock_bytes value, const char *must) {
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "ERR %s is '%s', must be %s", what, show(value).text, must);
    return RedisModule_ReplyWithError(ctx, message);
}

int reply_argument_error(RedisModuleCtx *ctx, const char *what, const RedisModuleString *value, const char *must) {
    return reply_value_error(ctx, what, bytes_of(value), must);
}

int reply_named_error(RedisModuleCtx *ctx, const char *code, const char *what, const RedisModuleString *value,
                      const char *text) {
    char message[MESSAGE_BYTES];
    snprintf(message, sizeof message, "%s %s '%s': %s", code, what, show(bytes_of(value)).text, text);
    return RedisModule_ReplyWithError(ctx, message);
}

static inline bool read_number(const char *text, size_t count, bool may_be_negative, int64_t *number) {
    // Nearly every quantity is one digit.
    if (count == 1 && text[0] >= '0' && text[0] <= '9') {
        *number = text[0] - '0';
        return true;
    }
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

static bool refuse_number(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, int64_t min,
                          int64_t max) {
    char must[128];
    snprintf(must, sizeof must, "an integer from %" PRId64 " to %" PRId64, min, max);
    reply_argument_error(ctx, what, argument, must);
    return false;
}

bool parse_number(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, int64_t min, int64_t max,
                  int64_t *number) {
    size_t count;
    const char *text = RedisModule_StringPtrLen(argument, &count);
    return (read_number(text, count, min < 0, number) && *number >= min && *number <= max) ||
           refuse_number(ctx, what, argument, min, max);
}

bool refuse_name(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, size_t bytes_max,
                 size_t count) {
    char must[64];
    snprintf(must, sizeof must, "1 to %zu bytes, not %zu", bytes_max, count);
    reply_argument_error(ctx, what, argument, must);
    return false;
}

bool parse_restock_quantity(RedisModuleCtx *ctx, const RedisModuleString *argument, int64_t *quantity) {
    if (!parse_number(ctx, "quantity", argument, -STOCK_NUMBER_MAX, STOCK_NUMBER_MAX, quantity))
        return false;
    if (*quantity != 0)
        return true;
    reply_argument_error(ctx, "quantity", argument, "an integer other than 0");
    return false;
}

bool is_word(const RedisModuleString *argument, const char *word) {
    size_t length;
    const char *text = RedisModule_StringPtrLen(argument, &length);
    return strlen(word) == length && strncasecmp(word, text, length) == 0;
}

// "… must be one of A, B, C"
static void reply_unknown_word(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument,
                               const char *const *words, size_t count) {
    char must[MESSAGE_BYTES / 2];
    size_t used = (size_t)snprintf(must, sizeof must, count > 1 ? "one of" : "");
    for (size_t i = 0; i < count && used < sizeof must; i++)
        used += (size_t)snprintf(must + used, sizeof must - used, "%s%s%s", i == 0 ? "" : ",",
                                 i == 0 && count == 1 ? "" : " ", words[i]);
    reply_argument_error(ctx, what, argument, must);
}

bool parse_word(RedisModuleCtx *ctx, const char *what, const RedisModuleString *argument, const char *const *words,
                size_t count, size_t *index) {
    for (*index = 0; *index < count; ++*index) {
        if (is_word(argument, words[*index]))
            return true;
    }
    reply_unknown_word(ctx, what, argument, words, count);
    return false;
}

static option *find_option(const RedisModuleString *argument, option *options, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (is_word(argument, options[i].word))
            return &options[i];
    }
    return NULL;
}

static void reply_unknown_option(RedisModuleCtx *ctx, const RedisModuleString *argument, const option *options,
                                 size_t count) {
    const char *words[OPTIONS_MAX];
    for (size_t i = 0; i < count; i++)
        words[i] = options[i].word;
    if (count == 0)
        reply_argument_error(ctx, "option", argument, "left out");
    else
        reply_unknown_word(ctx, "option", argument, words, count);
}

static bool parse_option_value(RedisModuleCtx *ctx, option *found, const RedisModuleString *value) {
    if (found->name != NULL)
        return parse_transfer(ctx, found->word, value, found->name);
    return parse_number(ctx, found->word, value, found->min, found->max, found->value);
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
        if (found->value == NULL && found->name == NULL)
            continue;
        if (i + 1 == argc) {
            reply_argument_error(ctx, "option", argv[i],
                                 found->name == NULL ? "followed by a number" : "followed by a transfer's name");
            return false;
        }
        if (!parse_option_value(ctx, found, argv[++i]))
            return false;
    }
    return true;
}
