/* server.h - for those who start a server and load it: the server runs on the first processor, its
 * load on the second, and what the server's threads have used is read from /proc. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

/* ---- this process ---- */

static inline double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline void stay_on(int processor)
{
    cpu_set_t set;

    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* ---- the server ---- */

/* BENCH_CORES=2: server and load share two processors. */
static inline void choose_processor(int processor)
{
    const char *cores = getenv("BENCH_CORES");

    if (cores == NULL || strcmp(cores, "1") == 0)
        stay_on(processor);
}

static inline pid_t start_server(char **argv, int *port)
{
    int pipes[2];

    bench_require(pipe(pipes) == 0, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        choose_processor(0);
        dup2(pipes[1], STDOUT_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        execvp(argv[0], argv);
        _exit(127);
    }
    close(pipes[1]);
    FILE *said = fdopen(pipes[0], "r");
    bench_require(pid > 0 && said != NULL && fscanf(said, "port %d", port) == 1, "the server");
    fclose(said);
    return pid;
}

/* The processor time of all its threads. */
static inline double server_cpu_ns(pid_t pid)
{
    char path[300];
    double total = 0, spent;
    struct dirent *entry;

    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    while ((entry = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%lf", &spent) == 1)
            total += spent;
        fclose(file);
    }
    closedir(tasks);
    return total;
}

/* What it has in memory, in bytes, without what it shares with others. */
static inline double server_memory(pid_t pid)
{
    char path[64], line[256];
    double kilobytes = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *status = fopen(path, "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kilobytes = strtod(line + 8, NULL);
    if (status != NULL)
        fclose(status);
    return kilobytes * 1024;
}

/* Descriptors for so many connections, here and in the server. */
static inline void allow_descriptors(size_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= count + 100)
        return;
    limit.rlim_cur = count + 100;
    if (limit.rlim_max < limit.rlim_cur)
        limit.rlim_max = limit.rlim_cur;
    bench_require(setrlimit(RLIMIT_NOFILE, &limit) == 0, "so many descriptors");
}

/* From one of many addresses, since each has no more than 28,000 ports. */
static inline void connect_from(int fd, unsigned which, int port)
{
    struct sockaddr_in from = { .sin_family = AF_INET }, to = from;

    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + which);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)port);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
    bench_require(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
    bench_require(connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS,
                  "connect");
}

#endif
