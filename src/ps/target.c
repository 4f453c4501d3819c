/* target.c - the process that is looked at: its memory, its modules, its table.
 *
 * The table is found by the name of its section, in whatever file of the process has one: the
 * shared library, or a program that the library was linked into.  Stripping keeps that section.
 */
#include "ps/ps.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <sys/uio.h>

int target_read(const struct target *target, uint64_t address, void *data, size_t size)
{
    struct iovec here = { data, size }, there = { (void *)(uintptr_t)address, size };
    ssize_t n = process_vm_readv(target->pid, &here, 1, &there, 1, 0);

    if (n < 0)
        return errno == EFAULT ? -EAGAIN : -errno;
    return (size_t)n == size ? 0 : -EAGAIN;
}

/* ---- reading what may change ---- */

uint64_t word_at(struct reader *reader, uint64_t address)
{
    uint64_t word = 0;

    if (reader->r == 0)
        reader->r = target_read(reader->target, address, &word, sizeof word);
    return reader->r == 0 ? word : 0;
}

void bytes_at(struct reader *reader, uint64_t address, void *data, size_t size)
{
    if (reader->r == 0)
        reader->r = target_read(reader->target, address, data, size);
    if (reader->r != 0)
        memset(data, 0, size);
}

/* Page by page: it may end where the memory does. */
void text_at(struct reader *reader, uint64_t address, char *text, size_t size)
{
    enum { PAGE = 4096 /* the least there is */ };

    memset(text, 0, size);
    for (size_t n = 0; n + 1 < size && reader->r == 0;) {
        size_t left = size - 1 - n, page_left = PAGE - (address + n) % PAGE;
        size_t part = left < page_left ? left : page_left;

        bytes_at(reader, address + n, text + n, part);
        if (memchr(text + n, '\0', part) != NULL)
            break;
        n += part;
    }
    make_printable(text);
}

/* C0, DEL, and C1 in UTF-8: a name is not to move the cursor of who looks, or to end its line. */
void make_printable(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
    }
}

/* The mark stays behind for ever longer, so that a circle, wherever it begins, comes back to it. */
bool links_next(struct links *links)
{
    struct reader *reader = links->reader;
    uint64_t next = word_at(reader, links->at + reader->target->table.link_next);

    if (next == 0)
        return false;
    if (next == links->mark)
        reader->r = -EAGAIN;
    else if (reader->target->links++ == LINKS_MAX)
        reader->r = -EOVERFLOW;
    if ((links->steps & (links->steps + 1)) == 0)
        links->mark = next;
    links->steps++;
    links->at = next;
    return reader->r == 0;
}

/* ---- the table ---- */

struct search {
    uint64_t address; /* 0: not found yet */
    uint64_t size;
};

static int look_into(Dwfl_Module *module, void **user_data, const char *name, Dwarf_Addr start,
                     void *arg)
{
    struct search *search = arg;
    GElf_Addr bias;
    Elf *elf = dwfl_module_getelf(module, &bias);
    size_t names;

    (void)user_data;
    (void)name;
    (void)start;
    if (elf == NULL || elf_getshdrstrndx(elf, &names) < 0)
        return DWARF_CB_OK;
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section != NULL;
         section = elf_nextscn(elf, section)) {
        GElf_Shdr header;
        const char *text =
            gelf_getshdr(section, &header) != NULL ? elf_strptr(elf, names, header.sh_name) : NULL;
        if (text != NULL && strcmp(text, DEBUG_TABLE_SECTION) == 0) {
            search->address = header.sh_addr + bias;
            search->size = header.sh_size;
            return DWARF_CB_ABORT;
        }
    }
    return DWARF_CB_OK;
}

static int read_table(struct target *target)
{
    struct search search = { 0 };

    dwfl_getmodules(target->dwfl, look_into, &search, 0);
    if (search.address == 0)
        return -ENOENT;
    if (search.size < sizeof target->table)
        return -EPROTO;
    int r = target_read(target, search.address, &target->table, sizeof target->table);
    if (r < 0)
        return r;
    const struct debug_table *table = &target->table;
    if (memcmp(table->magic, DEBUG_TABLE_MAGIC, sizeof DEBUG_TABLE_MAGIC) != 0 ||
        table->version != DEBUG_TABLE_VERSION || table->size != sizeof *table ||
        table->register_count > DEBUG_REGISTERS_MAX)
        return -EPROTO;
    return 0;
}

/* ---- the process ---- */

int target_open(struct target *target, pid_t pid)
{
    static const Dwfl_Callbacks callbacks = { .find_elf = dwfl_linux_proc_find_elf,
                                              .find_debuginfo = dwfl_standard_find_debuginfo };

    *target = (struct target){ .pid = pid, .dwfl = dwfl_begin(&callbacks) };
    if (target->dwfl == NULL)
        return -ENOMEM;
    int r = dwfl_linux_proc_report(target->dwfl, pid);
    if (r == 0)
        r = dwfl_report_end(target->dwfl, NULL, NULL) == 0 ? read_table(target) : -EIO;
    else if (r == ENOENT) /* of its files in /proc */
        r = -ESRCH;
    else
        r = r > 0 ? -r : -EIO;
    if (r < 0)
        target_close(target);
    return r;
}

void target_close(struct target *target)
{
    dwfl_end(target->dwfl);
    target->dwfl = NULL;
}
