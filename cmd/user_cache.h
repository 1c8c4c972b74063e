/* user_cache.h - where the program keeps what it can make again: a place in the user's cache. */
#ifndef USER_CACHE_H
#define USER_CACHE_H

/* $XDG_CACHE_HOME/rollmill/NAME, else $HOME/.cache/rollmill/NAME; malloc'ed. NULL where there is
 * neither. */
char *user_cache_path(const char *name);

#endif /* USER_CACHE_H */
