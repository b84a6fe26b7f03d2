#pragma once
#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#include <mariadb/mysqld_error.h>

/* What the library offers as macros or as fields of its structs, which Swift does not see or should not know. */

/* Whether the server takes arrays of parameters (MariaDB 10.2 and later; no MySQL). */
static inline int doorbuster_takes_arrays(MYSQL *mysql) {
    unsigned long capabilities = 0;
    if (mysql->server_capabilities & CLIENT_MYSQL)
        return 0;
    mariadb_get_infov(mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &capabilities);
    return (capabilities & (MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
}

/* Whether the server was in a transaction when it answered last. */
static inline int doorbuster_in_transaction(MYSQL *mysql) {
    return (mysql->server_status & SERVER_STATUS_IN_TRANS) != 0;
}

/* One indicator for each row of an array of parameters; its place is in an anonymous union. */
static inline void doorbuster_set_indicators(MYSQL_BIND *bind, char *indicators) {
    bind->u.indicator = indicators;
}
