/* The test harness of the C client: CHECK, and the number of failures. Compiles as C99 and as C++17. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

/* Prints the result of the tests called `name`. Returns the exit status. */
static int check_result(const char *name) {
    if (failures) {
        printf("%s: %d checks failed\n", name, failures);
    } else {
        printf("%s: all checks passed\n", name);
    }
    return failures != 0;
}

#endif
