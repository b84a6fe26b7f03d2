#include "doorbuster_module.h"
#include "handling.h"

// Redis' allocator counts the memory and serves `MEMORY USAGE` and `maxmemory`.
static void use_redis_memory(void) {
    stock_memory = (stock_memory_functions){.allocate = RedisModule_Alloc, .release = RedisModule_Free};
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    const char *missing = redis_api_load(ctx);
    if (missing != NULL) {
        if (RedisModule_Log != NULL)
            RedisModule_Log(ctx, "warning", "%s needs Redis 7.0 or later: the server lacks %s", MODULE_NAME, missing);
        return REDISMODULE_ERR;
    }
    if (RedisModule_IsModuleNameBusy(MODULE_NAME))
        return REDISMODULE_ERR;
    RedisModule_SetModuleAttribs(ctx, MODULE_NAME, MODULE_VERSION, REDISMODULE_APIVER_1);
    if (argc > 0) {
        RedisModule_Log(ctx, "warning", "argument '%s': the module takes no arguments",
                        RedisModule_StringPtrLen(argv[0], NULL));
        return REDISMODULE_ERR;
    }
    use_redis_memory();
    // A refused command leaves WATCH and client caches alone: keys are signalled where they change. Buckets of a
    // database that is still being loaded are told apart from those that are served.
    RedisModule_SetModuleOptions(ctx, REDISMODULE_OPTIONS_HANDLE_IO_ERRORS |
                                          REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED |
                                          REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD);
    if (bucket_type_register(ctx) != REDISMODULE_OK || freezing_register(ctx) != REDISMODULE_OK ||
        commands_register(ctx) != REDISMODULE_OK || statistics_register(ctx) != REDISMODULE_OK)
        return REDISMODULE_ERR;
    ready_replies_make(ctx);
    // Last: the server doesn't take these back where a module fails to load.
    expiry_register(ctx);
    return server_events_register(ctx);
}
