// A server that is none: loads the module with an API of stand-ins, of which each does nothing, and prints what ACL
// categories the module gives to its commands.
//
//     loading-probe MODULE [FUNCTION ...]
//
// The functions are those that the server has of RedisModule_SetCommandACLCategories and RedisModule_AddACLCategory.
// Prints `added <category>`, and `<command>: <categories>` for each call.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int later_count;
static char **later;
static const char *last_command;

static long do_nothing(void) {
    return 0;
}

// Any address will do for what is only handed back.
static void *give_something(void) {
    static char something[4096];
    return something;
}

static int create_command(void *ctx, const char *name) {
    (void)ctx;
    last_command = name;
    return 0;
}

static void *get_command(void *ctx, const char *name) {
    (void)ctx;
    return (void *)name;
}

static int add_category(void *ctx, const char *name) {
    (void)ctx;
    printf("added %s\n", name);
    return 0;
}

static int set_categories(void *command, const char *categories) {
    printf("%s: %s\n", (const char *)command, categories);
    return strcmp(command, last_command);
}

static int has_later(const char *name) {
    for (int i = 0; i < later_count; i++) {
        if (strcmp(later[i], name) == 0)
            return 1;
    }
    return 0;
}

static int get_api(const char *name, void **function) {
    static const struct {
        const char *name;
        void *function;
        int is_later;
    } functions[] = {
        {"RedisModule_CreateCommand", create_command, 0},           {"RedisModule_GetCommand", get_command, 0},
        {"RedisModule_CreateDataType", give_something, 0},          {"RedisModule_AddACLCategory", add_category, 1},
        {"RedisModule_SetCommandACLCategories", set_categories, 1},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, name) != 0)
            continue;
        if (functions[i].is_later && !has_later(name))
            return 1;
        *function = functions[i].function;
        return 0;
    }
    *function = do_nothing;
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    later = argv + 2;
    later_count = argc - 2;
    void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*load)(void *, void *, int) = (int (*)(void *, void *, int))dlsym(module, "RedisModule_OnLoad");
    // The first word of the context is the look-up function.
    void *context[64] = {get_api};
    return load == NULL ? 1 : load(context, NULL, 0);
}
