/* subjects.c - the programs and the examples as tests, to be tortured: their main() under another
 * name, on the simulated back end, where no time passes. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../harness.h"
#include "torture.h"

typedef int program_main(int argc, char **argv);

static int run_with(const char *backend, program_main *program, const char *argument)
{
    static char name[] = "program";
    char *argv[] = { name, (char *)(uintptr_t)argument, NULL };

    torture_may_go_on();
    setenv("ASYNCIO_BACKEND", backend, 1);
    int r = program(argument != NULL ? 2 : 1, argv);
    fflush(stdout);
    return r;
}

static int run_on(const char *backend, program_main *program)
{
    return run_with(backend, program, NULL);
}

/* The examples; the list is made by CMakeLists.txt, of EXAMPLE(name). */
#define EXAMPLE(name)                                                                              \
    program_main example_##name##_main;                                                            \
    TEST(example_##name)                                                                           \
    {                                                                                              \
        log_allow(""); /* some show what the library says */                                       \
        CHECK_INT(run_on("sim", example_##name##_main), 0);                                        \
    }
#include "examples.inc"

#define PROGRAM(name)                                                                              \
    program_main program_##name##_main;                                                            \
    TEST(program_##name)                                                                           \
    {                                                                                              \
        CHECK_INT(run_on("sim", program_##name##_main), 0);                                        \
    }
PROGRAM(01_hello)
PROGRAM(02_gather)
PROGRAM(03_group)
PROGRAM(05_process)
PROGRAM(12_sync)
#if defined(WITHOUT_C11_THREADS)
TEST(program_10_bridge)
{
    SKIP("ThreadSanitizer does not see the threads that thrd_create() makes");
}
#else
PROGRAM(10_bridge)
#endif

/* A thread of it waits for a job that another must do; if no second one can be started, that is for
 * ever, in asyncio too. */
program_main program_11_threads_main;

TEST(program_11_threads)
{
    torture_sigint_may_kill();
    CHECK_INT(run_on("sim", program_11_threads_main), 0);
}

/* ---- the clients: nobody listens on their ports here ---------------------------------------- */

program_main program_13_as_completed_main;

TEST(program_13_as_completed)
{
    CHECK_INT(run_with("epoll", program_13_as_completed_main, "127.0.0.1"), 0);
}

#if defined(ASYNCIO_TLS)
program_main program_07_tls_client_main;

TEST(program_07_tls_client)
{
    int r = run_with("epoll", program_07_tls_client_main, "127.0.0.1");

    CHECK(r == 0 || r == 1);
}
#endif

/* ---- the queue: ends by SIGINT -------------------------------------------------------------- */

program_main program_06_queue_main;

TEST(program_06_queue)
{
    if (!test_is_torture())
        SKIP("ends only by the SIGINT of a torture run");
    torture_interrupt_at(60);
    run_on("sim", program_06_queue_main);
}

/* ---- the servers: real sockets, one client, then SIGINT ------------------------------------- */

enum { ECHO_PORT = 8888, DATAGRAM_PORT = 9999, CONNECT_TRIES = 200 };

program_main program_04_echo_main, program_08_udp_echo_main, program_09_protocol_main,
    program_14_chat_main;

static struct sockaddr_in local_address(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int connect_to_echo(void)
{
    struct sockaddr_in address = local_address(ECHO_PORT);

    for (int i = 0; i < CONNECT_TRIES; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        close(fd);
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    return -1;
}

/* The server under torture may answer or not; then it is told to end. */
__attribute__((noreturn)) static void be_client(void)
{
    char data[64];
    int fd = connect_to_echo();

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 200000 },
                   sizeof(struct timeval));
        if (send(fd, "hello\n", 6, MSG_NOSIGNAL) == 6)
            asyncio_ignore((int)recv(fd, data, sizeof data, MSG_WAITALL));
        close(fd);
    }
    kill(getppid(), SIGINT);
    _exit(0);
}

static void serve_one(program_main *program, void (*client)(void))
{
    int lock = open("/tmp/libasyncio-tests-8888.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0666);

    if (lock < 0 || flock(lock, LOCK_EX) < 0)
        SKIP("no lock for port 8888");
    torture_sigint_may_kill(); /* the client's comes when it comes, also to a server that gave up */
    pid_t pid = fork();
    if (pid == 0)
        client();
    run_on("epoll", program);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(lock);
}

/* Until a datagram comes back: the server may not be there yet. */
__attribute__((noreturn)) static void be_datagram_client(void)
{
    struct sockaddr_in address = local_address(DATAGRAM_PORT);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char data[64];

    connect(fd, (struct sockaddr *)&address, sizeof address);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 20000 },
               sizeof(struct timeval));
    for (int i = 0; i < CONNECT_TRIES; i++) {
        if (send(fd, "hello", 5, MSG_NOSIGNAL) == 5 && recv(fd, data, sizeof data, 0) == 5)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
    }
    close(fd);
    kill(getppid(), SIGINT);
    _exit(0);
}

TEST(program_04_echo)
{
    serve_one(program_04_echo_main, be_client);
}

TEST(program_08_udp_echo)
{
    serve_one(program_08_udp_echo_main, be_datagram_client);
}

TEST(program_09_protocol)
{
    serve_one(program_09_protocol_main, be_client);
}

TEST(program_14_chat)
{
    serve_one(program_14_chat_main, be_client);
}
