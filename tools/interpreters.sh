#!/usr/bin/env bash
# Puts interpreters that a released system does not have into one folder:
#
#     tools/interpreters.sh [FOLDER]        default: ~/.cache/sharedkit-interpreters
#
#   python3.14 python3.15   of Debian sid, with venv and headers; `debootstrap` fetches them
#   python3.13t             free-threaded, built from the source package of trixie (Debian has no package of such a
#                           build); FREE_THREADED="3.13 3.14 3.15" builds more from sid; "" builds none. Some mirrors
#                           list sid's sources without having them: such a Python is left out, and the exit status is 1
#
# They are in FOLDER/bin, where `make test-all` looks for them. An interpreter that exists is not made again; to make it
# anew, delete FOLDER/sid or FOLDER/3.13t and its names in FOLDER/bin. Needs root (debootstrap), 2 GB of disk, ten
# minutes of two cores for a free-threaded build, and `apt-get install debootstrap patchelf dpkg-dev gcc make libssl-dev
# libffi-dev zlib1g-dev libbz2-dev liblzma-dev libsqlite3-dev`.
#
# Programs of sid need a newer C library than the machine's. This uses neither a chroot nor a wrapper: the interpreter's
# ELF header is changed to name sid's loader and, as DT_RPATH, sid's libraries. So it stays one ordinary executable:
# venvs link to it, `sys.executable` names it, the machine's gcc compiles against its headers, and the programs that it
# starts are not affected.
set -euo pipefail

folder=$(mkdir -p "${1:-$HOME/.cache/sharedkit-interpreters}" && cd "${1:-$HOME/.cache/sharedkit-interpreters}" && pwd)
mirror=${MIRROR:-http://deb.debian.org/debian}
packaged="3.14 3.15"
read -ra free_threaded <<<"${FREE_THREADED-3.13}"
sid=$folder/sid
log=$folder/log
mkdir -p "$folder/bin"

step() { # a description, then the command; its output is shown if it fails
    echo "$1"
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 30 "$log"; echo "failed: $*; all of its output: $log"; exit 1; }
}

need() {
    local each
    for each in "$@"; do
        command -v "$each" >/dev/null || { echo "needs $each: see the head of $0"; exit 1; }
    done
}

fetch_sid() {
    local packages=ca-certificates each
    for each in $packaged; do
        packages+=,python$each,python$each-venv,python$each-dev,libpython$each-testsuite
    done
    rm -rf --one-file-system "$sid.part"
    step "Debian sid with Python $packaged" \
        debootstrap --variant=minbase --include="$packages" sid "$sid.part" "$mirror"
    mv "$sid.part" "$sid"
}

# Make one interpreter of the folder run from outside of it.
release() {
    local version=$1 libraries triplet binary=$sid/usr/bin/python$1
    libraries=$(dirname "$sid"/usr/lib/*/libc.so.6)
    triplet=$(basename "$libraries")
    # Old wheels name libpthread and similar libraries, which are empty since glibc 2.34. The machine's copies would be
    # loaded, and sid's libc would refuse them; if they are loaded at the start, sid's are used. (patchelf 0.14 confuses
    # the two changes if it gets both at once.)
    step "python$version: libraries" patchelf --add-needed libpthread.so.0 --add-needed libdl.so.2 \
        --add-needed librt.so.1 --add-needed libutil.so.1 --add-needed libstdc++.so.6 --output "$binary.part" "$binary"
    step "python$version: loader" patchelf --set-interpreter "$(echo "$libraries"/ld-linux*.so.*)" \
        --force-rpath --set-rpath "$libraries" "$binary.part"
    mv "$binary.part" "$binary"
    # pyconfig.h includes <TRIPLET/python3.15/pyconfig.h>, which gcc looks for in its own system's folder.
    ln -sfn "../$triplet" "$sid/usr/include/python$version/$triplet"
    # pip comes from a wheel that Debian keeps next to the standard library; it is found by its absolute path.
    sed -i "s|'WHEEL_PKG_DIR': '/usr|'WHEEL_PKG_DIR': '$sid/usr|" "$sid/usr/lib/python$version"/_sysconfigdata_*.py
    ln -sfn "../sid/usr/bin/python$version" "$folder/bin/python$version"
}

# An apt with its own package lists, so that the machine's stay as they are.
own_apt() {
    apt-get -o Dir::Etc::SourceList="$folder/sources/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$folder/sources/lists" -o Dir::Cache="$folder/sources/cache" -o APT::Sandbox::User=root "$@"
}

fetch_sources() {
    mkdir -p "$folder/sources/lists/partial" "$folder/sources/cache/archives/partial"
    printf "deb-src $mirror %s main\n" trixie sid >"$folder/sources/sources.list"
    step "lists of the source packages" own_apt update
}

build_free_threaded() {
    local version=$1 source=$folder/sources/python$1 suite=sid
    [ "$version" != 3.13 ] || suite=trixie # sid drops it
    rm -rf "$source" "$folder/${version}t"
    mkdir -p "$source"
    cd "$source"
    echo "python${version}t: source"
    if ! own_apt source --download-only "python$version/$suite" >"$log" 2>&1 </dev/null; then
        missing+=("python${version}t: $(grep -m 1 '^E: ' "$log" || tail -n 1 "$log")")
        cd "$folder"
        rm -rf "$source"
        return
    fi
    # Only the release itself: Debian's changes are for Debian's folders.
    tar -xf python*.orig.tar.xz --strip-components=1
    step "python${version}t: configure" nice ./configure --disable-gil --prefix="$folder/${version}t"
    step "python${version}t: make" nice make -j2
    step "python${version}t: install" nice make altinstall
    ln -sfn "../${version}t/bin/python${version}t" "$folder/bin/python${version}t"
    cd "$folder"
    rm -rf "$source"
}

missing=() # the free-threaded ones whose source could not be fetched, each with the reason
for each in $packaged; do
    if [ ! -x "$folder/bin/python$each" ]; then
        need debootstrap patchelf
        [ -d "$sid" ] || fetch_sid
        release "$each"
    fi
done
for each in "${free_threaded[@]}"; do
    if [ ! -x "$folder/bin/python${each}t" ]; then
        need apt-get dpkg-source gcc make tar
        [ -d "$folder/sources/lists/partial" ] || fetch_sources
        build_free_threaded "$each"
    fi
done
rm -rf "$folder/sources" "$log"

for each in "$folder"/bin/python3*; do
    case $each in *-config) continue ;; esac
    echo "$each  $("$each" -c 'import sys; print(sys.version.split("[")[0].strip())')"
done
if [ ${#missing[@]} -gt 0 ]; then
    printf 'not to be had: %s\n' "${missing[@]}"
    exit 1
fi
