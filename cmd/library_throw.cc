/* library_throw.cc - what a library throws where nothing can catch it. oneDNN throws through its C
 * interface and out of its threads, where there is no memory above all: without this the process
 * would abort without a word. */
#include <cstring>
#include <exception>
#include <new>
#include <unistd.h>

extern "C" void cmd_catch_throws(void);

namespace
{

enum { EXIT_CODE = 1 };

/* Allocates nothing. */
void say(const char *text)
{
    ssize_t const n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nothing is left to do about it */
}

[[noreturn]] void end_process()
{
    try {
        if (std::current_exception()) std::rethrow_exception(std::current_exception());
        say("rollmill: device: a library has ended the process\n");
    } catch (const std::bad_alloc &) {
        say("rollmill: nomem: a library has no memory\n");
    } catch (const std::exception &e) {
        say("rollmill: device: a library failed: ");
        say(e.what());
        say("\n");
    } catch (...) {
        say("rollmill: device: a library failed\n");
    }
    _exit(EXIT_CODE);
}

} // namespace

void cmd_catch_throws(void) { std::set_terminate(end_process); }
