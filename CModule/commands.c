// Registers what stands in command_table.c.
#include "command_table.h"
#include "doorbuster_module.h"
#include <stdio.h>

enum { CATEGORIES_BYTES = 64 };

static const RedisModuleCommandInfoVersion info_version = {
    .version = 1,
    .sizeof_historyentry = sizeof(RedisModuleCommandHistoryEntry),
    .sizeof_keyspec = sizeof(RedisModuleCommandKeySpec),
    .sizeof_arg = sizeof(RedisModuleCommandArg),
};

static int describe(RedisModuleCommand *registered, const command *command) {
    // Where the handler has to tell which arguments are keys, the first two are sure.
    bool has_more_keys = strstr(command->flags, "getkeys-api") != NULL;
    RedisModuleCommandKeySpec keys[] = {
        {.flags = command->key_flags | (has_more_keys ? REDISMODULE_CMD_KEY_INCOMPLETE : 0),
         .begin_search_type = REDISMODULE_KSPEC_BS_INDEX,
         .bs.index.pos = 1,
         .find_keys_type = REDISMODULE_KSPEC_FK_RANGE,
         .fk.range = {.lastkey = has_more_keys ? 1 : 0, .keystep = 1, .limit = 0}},
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
    return RedisModule_SetCommandInfo(registered, &info);
}

// Whether the server has a category of the module's own, `@doorbuster`.
static bool add_category(RedisModuleCtx *ctx) {
    return RedisModule_AddACLCategory != NULL && RedisModule_SetCommandACLCategories != NULL &&
           RedisModule_AddACLCategory(ctx, MODULE_NAME) == REDISMODULE_OK;
}

// The categories that a server gives its own commands by their flags; what no client may call is dangerous besides. A
// module's commands it puts into none unasked, and into these alone where it is asked for one more.
static int categorize(RedisModuleCommand *registered, const command *command, bool has_category) {
    if (RedisModule_SetCommandACLCategories == NULL)
        return REDISMODULE_OK;
    char categories[CATEGORIES_BYTES];
    snprintf(categories, sizeof categories, "%s %s%s%s", strstr(command->flags, "write") != NULL ? "write" : "read",
             strstr(command->flags, "fast") != NULL ? "fast" : "slow",
             command->run == command_apply ? " admin dangerous" : "", has_category ? " " MODULE_NAME : "");
    return RedisModule_SetCommandACLCategories(registered, categories);
}

static int register_command(RedisModuleCtx *ctx, const command *command, bool has_category) {
    if (RedisModule_CreateCommand(ctx, command->name, command->run, command->flags, 1, 1, 1) != REDISMODULE_OK)
        return REDISMODULE_ERR;
    RedisModuleCommand *registered = RedisModule_GetCommand(ctx, command->name);
    if (describe(registered, command) != REDISMODULE_OK)
        return REDISMODULE_ERR;
    return categorize(registered, command, has_category);
}

int commands_register(RedisModuleCtx *ctx) {
    size_t count;
    const command *commands = command_table(&count);
    bool has_category = add_category(ctx);
    for (size_t i = 0; i < count; i++) {
        if (register_command(ctx, &commands[i], has_category) != REDISMODULE_OK) {
            RedisModule_Log(ctx, "warning", "the command %s can't be registered", commands[i].name);
            return REDISMODULE_ERR;
        }
    }
    return REDISMODULE_OK;
}
