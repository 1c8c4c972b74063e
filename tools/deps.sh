#!/bin/sh
# deps.sh - install what building and testing needs and this machine lacks.
#
# Each line below: how to tell that it is there, and the Debian or Ubuntu
# package that brings it. Nothing is installed, and no network is used, when
# all is there. Needs root or sudo otherwise.
set -u

needs() {
    cat <<'END'
command   gcc               gcc
command   g++               g++
command   make              make
command   pkg-config        pkg-config
command   ffprobe           ffmpeg
command   clang             clang
command   clang-tidy        clang-tidy
command   clang-format      clang-format
command   shellcheck        shellcheck
command   curl              curl
command   mpirun            openmpi-bin
pkg       ompi-c            libopenmpi-dev
pkg       libavformat       libavformat-dev
pkg       libavcodec        libavcodec-dev
pkg       libavutil         libavutil-dev
pkg       libswscale        libswscale-dev
pkg       yaml-0.1          libyaml-dev
pkg       libzip            libzip-dev
pkg       jansson           libjansson-dev
pkg       libcrypto         libssl-dev
pkg       libutf8proc       libutf8proc-dev
pkg       sqlite3           libsqlite3-dev
pkg       libpq             libpq-dev
pkg       libmicrohttpd     libmicrohttpd-dev
server    initdb            postgresql
fuzzer    libFuzzer         libclang-rt-dev
header    oneapi/dnnl/dnnl.h           libdnnl-dev
header    sentencepiece_processor.h    libsentencepiece-dev
header    cmocka.h                     libcmocka-dev
END
}

there() { # KIND NAME
    case $1 in
    command) command -v "$2" ;;
    pkg) pkg-config --exists "$2" ;;
    header) printf '#include <stddef.h>\n#include <stdint.h>\n#include <stdarg.h>\n#include <setjmp.h>\n#include <%s>\n' "$2" |
        g++ -E -x c++ - ;;
    server) ls /usr/lib/postgresql/*/bin/"$2" ;;
    fuzzer) printf 'int LLVMFuzzerTestOneInput(const char *p, long n) { return !p && n; }\n' |
        clang -fsanitize=fuzzer,address -x c -o /dev/null - ;;
    esac >/dev/null 2>&1
}

missing() {
    needs | while read -r kind name package; do
        there "$kind" "$name" || printf '%s ' "$package"
    done
}

want=$(missing)
[ -n "$want" ] || exit 0
echo "missing: $want"
if ! command -v apt-get >/dev/null; then
    echo "deps: this system has no apt-get; install these, or their like, by hand" >&2
    exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: neither root nor sudo; run: apt-get install $want" >&2
        exit 1
    fi
    sudo=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq || echo "deps: apt-get update failed; trying with what is known" >&2
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -qq --no-install-recommends $want || {
    echo "deps: apt-get could not install: $want" >&2
    exit 1
}
want=$(missing)
[ -z "$want" ] || { echo "deps: installed, and still not usable: $want" >&2 && exit 1; }
