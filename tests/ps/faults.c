/* faults.c - makes the calls of asyncio-ps fail, by the linker's --wrap: ps_faults is asyncio-ps
 * and this file.
 *
 *     PS_FAULT=fail:N    the N-th call of an allocator or of elfutils fails
 *     PS_FAULT=proc:N    the files of the process in /proc cannot be read: errno N
 *     PS_FAULT=read:N    the N-th read of the process's memory fails
 *     PS_FAULT=short:N   ... gives less than was wanted
 *     PS_FAULT=denied:N  ... and all after it are refused
 *     PS_FAULT=kill:N    the process is killed before it
 *     PS_FAULT=wrong:N   some of what is read is wrong; N is what chance begins with
 *
 * Its error output ends with "faults: not reached" if there were not N.
 */
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <gelf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FAIL = 'f', PROC = 'p', READ = 'r', SHORT = 's', DENIED = 'd', KILL = 'k', WRONG = 'w' };

static char kind; /* 0: none */
static unsigned long number, count;

__attribute__((constructor)) static void read_plan(void)
{
    const char *plan = getenv("PS_FAULT");
    const char *colon = plan != NULL ? strchr(plan, ':') : NULL;

    if (colon != NULL) {
        kind = plan[0];
        number = strtoul(colon + 1, NULL, 10);
    }
}

__attribute__((destructor)) static void say_end(void)
{
    static const char text[] = "faults: not reached\n";

    if (kind != 0 && kind != WRONG && count < number)
        (void)!write(STDERR_FILENO, text, sizeof text - 1);
}

/* ---- allocations, elfutils ---- */

static bool fails(void)
{
    return kind == FAIL && ++count == number;
}

#define FAILS(type, name, failure, parameters, arguments)                                          \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return fails() ? (failure) : __real_##name arguments;                                      \
    }

FAILS(void *, calloc, NULL, (size_t n, size_t size), (n, size))
FAILS(void *, realloc, NULL, (void *memory, size_t size), (memory, size))
FAILS(Dwfl *, dwfl_begin, NULL, (const Dwfl_Callbacks *callbacks), (callbacks))
FAILS(int, dwfl_report_end, -1,
      (Dwfl * dwfl, int (*removed)(Dwfl_Module *, void *, const char *, Dwarf_Addr, void *),
       void *arg),
      (dwfl, removed, arg))
FAILS(Elf *, dwfl_module_getelf, NULL, (Dwfl_Module * module, GElf_Addr *bias), (module, bias))
FAILS(int, elf_getshdrstrndx, -1, (Elf * elf, size_t *index), (elf, index))
FAILS(GElf_Shdr *, gelf_getshdr, NULL, (Elf_Scn * section, GElf_Shdr *header), (section, header))
FAILS(char *, elf_strptr, NULL, (Elf * elf, size_t section, size_t offset), (elf, section, offset))
FAILS(bool, dwfl_attach_state, false,
      (Dwfl * dwfl, Elf *elf, pid_t pid, const Dwfl_Thread_Callbacks *callbacks, void *arg),
      (dwfl, elf, pid, callbacks, arg))
FAILS(bool, dwfl_thread_state_registers, false,
      (Dwfl_Thread * thread, int first, unsigned n, const Dwarf_Word *words),
      (thread, first, n, words))
FAILS(bool, dwfl_frame_pc, false, (Dwfl_Frame * frame, Dwarf_Addr *pc, bool *is_activation),
      (frame, pc, is_activation))
FAILS(Dwfl_Module *, dwfl_addrmodule, NULL, (Dwfl * dwfl, Dwarf_Addr address), (dwfl, address))
FAILS(const char *, dwfl_module_addrinfo, NULL,
      (Dwfl_Module * module, GElf_Addr address, GElf_Off *offset, GElf_Sym *symbol,
       GElf_Word *section, Elf **elf, Dwarf_Addr *bias),
      (module, address, offset, symbol, section, elf, bias))
FAILS(Dwfl_Line *, dwfl_module_getsrc, NULL, (Dwfl_Module * module, Dwarf_Addr address),
      (module, address))
FAILS(const char *, dwfl_lineinfo, NULL,
      (Dwfl_Line * line, Dwarf_Addr *address, int *number_, int *column, Dwarf_Word *modified,
       Dwarf_Word *length),
      (line, address, number_, column, modified, length))
FAILS(int, dwarf_haspc, -1, (Dwarf_Die * die, Dwarf_Addr address), (die, address))
FAILS(Dwarf_Line *, dwarf_getsrc_die, NULL, (Dwarf_Die * die, Dwarf_Addr address), (die, address))
FAILS(int, dwarf_lineno, -1, (Dwarf_Line * line, int *number_), (line, number_))
FAILS(const char *, dwarf_linesrc, NULL,
      (Dwarf_Line * line, Dwarf_Word *modified, Dwarf_Word *length), (line, modified, length))

int __real_dwfl_linux_proc_report(Dwfl *dwfl, pid_t pid);
int __wrap_dwfl_linux_proc_report(Dwfl *dwfl, pid_t pid);
int __wrap_dwfl_linux_proc_report(Dwfl *dwfl, pid_t pid)
{
    if (kind == PROC)
        return (int)(count = number);
    return fails() ? -1 : __real_dwfl_linux_proc_report(dwfl, pid);
}

/* ---- memory ---- */

static uint64_t random_word(void)
{
    number = number * 6364136223846793005u + 1442695040888963407u;
    return number >> 33;
}

/* One bit, or one word: nothing, everything, little, or where it lies itself. */
static void spoil(char *data, size_t size, uintptr_t address)
{
    const uint64_t words[] = { 0, UINT64_MAX, random_word() % 64, address, random_word() };
    size_t at = random_word() % size;

    if (size < sizeof words[0] || random_word() % 2 == 0)
        data[at] = (char)(data[at] ^ (1 << random_word() % 8));
    else
        memcpy(data + at % (size - sizeof words[0] + 1) / 4 * 4, &words[random_word() % 5],
               sizeof words[0]);
}

ssize_t __real_process_vm_readv(pid_t pid, const struct iovec *here, unsigned long here_count,
                                const struct iovec *there, unsigned long there_count,
                                unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *here, unsigned long here_count,
                                const struct iovec *there, unsigned long there_count,
                                unsigned long flags);

static ssize_t refuse(int error)
{
    errno = error;
    return -1;
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *here, unsigned long here_count,
                                const struct iovec *there, unsigned long there_count,
                                unsigned long flags)
{
    bool now = kind != FAIL && kind != WRONG && ++count == number;

    if (kind == READ && now)
        return refuse(EFAULT);
    if (kind == DENIED && count >= number)
        return refuse(EPERM);
    if (kind == KILL && now && kill(pid, SIGKILL) < 0)
        return refuse(EIO);
    /* What it has is given back while it dies. */
    while (kind == KILL && now &&
           __real_process_vm_readv(pid, here, here_count, there, there_count, flags) >= 0)
        (void)usleep(1000);
    ssize_t n = __real_process_vm_readv(pid, here, here_count, there, there_count, flags);
    if (kind == SHORT && now && n > 0)
        return n - 1;
    if (kind == WRONG && n > 0 && random_word() % 50 == 0)
        spoil(here->iov_base, (size_t)n, (uintptr_t)there->iov_base);
    return n;
}
