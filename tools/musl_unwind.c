/* musl_unwind.c - what the unwinder of a gcc made for glibc asks the C library, for programs with
 * musl: where the unwind tables of an address are.  A gcc made for musl does not ask.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* As glibc 2.35 has it in <dlfcn.h>. */
struct object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct wanted {
    uintptr_t address;
    struct object *object;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct wanted *wanted = arg;
    int within = 0;

    (void)size;
    wanted->object->eh_frame = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t begin = (uintptr_t)(info->dlpi_addr + header->p_vaddr);

        if (header->p_type == PT_LOAD && wanted->address - begin < header->p_memsz) {
            wanted->object->map_start = (void *)begin;
            wanted->object->map_end = (void *)(begin + (uintptr_t)header->p_memsz);
            within = 1;
        } else if (header->p_type == PT_GNU_EH_FRAME) {
            wanted->object->eh_frame = (void *)begin;
        }
    }
    return within && wanted->object->eh_frame != NULL;
}

int _dl_find_object(void *address, struct object *object);

int _dl_find_object(void *address, struct object *object)
{
    struct wanted wanted = { (uintptr_t)address, object };

    object->flags = 0;
    object->link_map = NULL;
    return dl_iterate_phdr(look, &wanted) ? 0 : -1;
}
