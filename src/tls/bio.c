/* bio.c - the BIO of an engine: OpenSSL reads from its input and writes to its output.
 *
 * Not a memory BIO of OpenSSL's, which would copy everything once more each way.  Reading takes
 * from what the pump has at hand; when that is used up it says "later", or that the end has come.
 */
#include "tls/tls.h"

#include <string.h>

struct openssl_engine *engine_of_bio(BIO *bio)
{
    return BIO_get_data(bio);
}

static int read_input(BIO *bio, char *data, size_t size, size_t *count)
{
    struct tls_engine *engine = &engine_of_bio(bio)->engine;

    BIO_clear_retry_flags(bio);
    *count = 0;
    if (engine->input_size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (size > engine->input_size)
        size = engine->input_size;
    memcpy(data, engine->input, size);
    engine->input += size;
    engine->input_size -= size;
    *count = size;
    return 1;
}

static int write_output(BIO *bio, const char *data, size_t size, size_t *count)
{
    struct openssl_engine *engine = engine_of_bio(bio);
    int r = engine->engine.output(&engine->engine, data, size);

    BIO_clear_retry_flags(bio);
    *count = r < 0 ? 0 : size;
    if (r < 0)
        engine->output_error = r;
    return r >= 0;
}

/* What was written is on its way; there is nothing else to control. */
static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *engine_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "asyncio");

    if (method == NULL)
        return NULL;
    (void)BIO_meth_set_read_ex(method, read_input); /* each only stores a pointer */
    (void)BIO_meth_set_write_ex(method, write_output);
    (void)BIO_meth_set_ctrl(method, control);
    return method;
}

BIO *engine_bio_new(BIO_METHOD *method, struct openssl_engine *engine)
{
    BIO *bio = BIO_new(method);

    if (bio != NULL) {
        BIO_set_data(bio, engine);
        BIO_set_init(bio, 1);
    }
    return bio;
}
