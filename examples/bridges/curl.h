/* curl.h - libcurl's transfers, awaited in one line.
 *
 *     struct curl_bridge *bridge;
 *     TRY(curl_bridge_new(&bridge));
 *     ...
 *     int r = curl_bridge_perform(bridge, easy, &code);
 *
 * One bridge serves any number of tasks at once and keeps the connections for those to come.  It
 * belongs to the loop that ran when it was made, and uses CURLOPT_PRIVATE of the handles.
 */
#ifndef BRIDGES_CURL_H
#define BRIDGES_CURL_H

#include <asyncio.h>
#include <curl/curl.h>

struct curl_bridge;

/* -ENOMEM, ASYNCIO_ENOLOOP. */
int curl_bridge_new(struct curl_bridge **bridge);
void curl_bridge_free(struct curl_bridge *bridge); /* no transfer may be under way */

/* curl_easy_perform(), without blocking.  0, or -EIO when the transfer failed; `code`, unless NULL,
 * is what curl_easy_perform() would have returned.  -EINVAL: the handle is in use.  Cancelled: the
 * transfer has been given up, and nothing of it is under way any more. */
ASYNCIO_SUSPENDS int curl_bridge_perform(struct curl_bridge *bridge, CURL *easy, CURLcode *code);

#endif
