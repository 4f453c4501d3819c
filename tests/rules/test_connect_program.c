/* test_connect_program.c - the program that asks several hosts at once, with names that are known
 * here and names that are not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/sys.h"
#include "harness.h"
#include "names.h"

int program_main(int argc, char **argv);
#define main program_main
#include "../programs/13_as_completed.c"
#undef main

static struct fake_name fakes[] = {
    { "live.test", "127.0.0.5 127.0.0.1", 0, 0 },
    { "refused.test", "127.0.0.5", 0, 1 },
    { "none.test", NULL, ASYNCIO_EAI_NONAME, 0 },
    { "busy.test", NULL, ASYNCIO_EAI_AGAIN, 0 },
    { NULL, NULL, 0, 0 },
};

/* ---- a server, of the simplest kind ---- */

static void *serve(void *arg)
{
    static const char answer[] = "HTTP/1.0 204 No Content\r\n\r\n";
    char data[256];
    int fd, listener = *(int *)arg;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        size_t size = 0;
        ssize_t n;

        while (size < sizeof data - 1 && (n = read(fd, data + size, sizeof data - 1 - size)) > 0) {
            size += (size_t)n;
            data[size] = '\0';
            if (strstr(data, "\r\n\r\n") != NULL)
                break;
        }
        send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        sys_close(fd);
    }
    return NULL;
}

static int listen_anywhere(unsigned *port)
{
    asyncio_address address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r = asyncio_address_init(&address, "127.0.0.1", 0);

    if (r == 0)
        r = sys_bind(fd, &address);
    if (r == 0)
        r = sys_listen(fd, 10);
    if (r == 0)
        r = sys_getsockname(fd, &address);
    *port = r == 0 ? asyncio_address_port(&address) : 0;
    if (r < 0)
        sys_close(fd);
    return r < 0 ? r : fd;
}

/* ---- what the program prints ---- */

static int run_program(char **argv, char *text, size_t size)
{
    int file = memfd_create("output", MFD_CLOEXEC), kept = fcntl(1, F_DUPFD_CLOEXEC, 0);

    fflush(stdout);
    dup2(file, 1);
    int r = program_main(0, argv);
    fflush(stdout);
    dup2(kept, 1);
    ssize_t n = pread(file, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(kept);
    close(file);
    return r;
}

static void check_line(const char *text, const char *host, const char *what)
{
    char line[128];

    snprintf(line, sizeof line, "\r%-40s %s\n", host, what);
    if (strstr(text, line) == NULL)
        FAIL("no line '%s' in '%s'", line + 1, text);
}

static void run_with_server(void)
{
    char *argv[] = { (char[]){ "program" },
                     (char[]){ "none.test" },
                     (char[]){ "live.test" },
                     (char[]){ "busy.test" },
                     (char[]){ "refused.test" },
                     (char[]){ "live.test" },
                     NULL };
    char text[1024];

    CHECK_INT(run_program(argv, text, sizeof text), 0);
    check_line(text, "live.test", "204");
    check_line(text, "refused.test", asyncio_strerror(-ECONNREFUSED));
    check_line(text, "none.test", asyncio_strerror(ASYNCIO_EAI_NONAME));
    check_line(text, "busy.test", asyncio_strerror(ASYNCIO_EAI_AGAIN));
    CHECK(strstr(text, "5 of 5\n") != NULL);
}

/* CON-01, CON-08: each name on its own; one that fails keeps no other from its answer. */
TEST(connect_program)
{
    int listener = listen_anywhere(&fakes[0].port);
    pthread_t thread;

    if (listener < 0)
        return;
    names_set(fakes);
    if (CHECK_INT(pthread_create(&thread, NULL, serve, &listener), 0)) {
        run_with_server();
        shutdown(listener, SHUT_RDWR); /* ends the accept that waits */
        pthread_join(thread, NULL);
    }
    sys_close(listener);
}
