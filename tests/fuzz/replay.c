/* replay.c - main() of a fuzz target without a fuzzer: runs the inputs named, files and whole
 * directories, in the order of their names.  With -v it says which, and the targets what they do.
 */
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static int count;
static char current[PATH_MAX];

/* Which input it was; only what a handler may call. */
static void on_abort(int signum)
{
    static const char text[] = "\nthe input was ";
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);

    written = write(STDERR_FILENO, current, strlen(current));
    written = write(STDERR_FILENO, "\n", 1);
    (void)written;
    signal(signum, SIG_DFL);
    raise(signum);
}

static void replay_file(const char *path)
{
    uint8_t *data = malloc(INPUT_MAX); /* a block of its own, so that ASan sees its end */
    FILE *file = fopen(path, "rb");

    if (file == NULL || data == NULL) {
        perror(path);
        exit(2);
    }
    size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    uint8_t *exact = realloc(data, size > 0 ? size : 1);
    snprintf(current, sizeof current, "%s", path);
    SAY("== %s, %zu bytes\n", path, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    count++;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_directory(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_input, alphasort);

    if (n < 0) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char name[PATH_MAX];

        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        replay_file(name);
        free(entries[i]);
    }
    free(entries);
}

static void replay(const char *path)
{
    struct stat about = { 0 }; /* MSan does not see what stat64() writes */

    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        replay_directory(path);
    else
        replay_file(path);
}

int main(int argc, char **argv)
{
    int first = 1;

    if (argc > 1 && strcmp(argv[1], "-v") == 0) {
        setenv("FUZZ_TALKS", "1", 1);
        first = 2;
    }
    if (argc == first) {
        fprintf(stderr, "usage: %s [-v] INPUT...\n", argv[0]);
        return 2;
    }
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    for (int i = first; i < argc; i++)
        replay(argv[i]);
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
