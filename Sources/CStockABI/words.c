#include "stock_abi.h"
#include <stdlib.h>

#define WORD(c, swift, word)                                                                                           \
    case c:                                                                                                            \
        return word;
#define FAULT_CODE(c, swift, word, meaning)                                                                            \
    case c:                                                                                                            \
        return word;
#define FAULT_MEANING(c, swift, word, meaning)                                                                         \
    case c:                                                                                                            \
        return meaning;

const char *stock_status_word(stock_status status) {
    switch (status) { STOCK_STATUSES(WORD) }
    return "";
}

const char *stock_action_word(stock_action action) {
    switch (action) { STOCK_ACTIONS(WORD) }
    return "";
}

const char *stock_state_word(stock_state state) {
    switch (state) { STOCK_STATES(WORD) }
    return "";
}

const char *stock_recording_word(stock_recording recording) {
    switch (recording) { STOCK_RECORDINGS(WORD) }
    return "";
}

const char *stock_freeze_word(stock_freeze_reason reason) {
    switch (reason) { STOCK_FREEZES(WORD) }
    return "";
}

const char *stock_direction_word(stock_direction direction) {
    switch (direction) { STOCK_DIRECTIONS(WORD) }
    return "";
}

stock_action stock_effect_action(stock_effect effect) {
    switch (effect) { STOCK_EFFECTS(WORD) }
    return STOCK_ACTION_SCHEDULE;
}

const char *stock_fault_code(stock_fault fault) {
    switch (fault) { STOCK_FAULTS(FAULT_CODE) }
    return "";
}

const char *stock_fault_meaning(stock_fault fault) {
    switch (fault) { STOCK_FAULTS(FAULT_MEANING) }
    return "";
}

const char *stock_turn_word(stock_turn turn) {
    switch (turn) { STOCK_TURNS(WORD) }
    return "";
}

stock_memory_functions stock_memory = {malloc, free};
