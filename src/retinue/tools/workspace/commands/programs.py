"""The programs whose doings are known, by what they do.

An option that is missing here is one that writes, runs something, follows links or takes a path as its value.
"""

import msgspec

from retinue.tools.workspace.commands.names import names
from retinue.tools.workspace.commands.options import Form

_GREP = Form(
    operands="text_then_paths",
    flags="EFGPivwxcloqshnHabrLzZT",
    values="emABC",
    long="ignore-case recursive line-number only-matching count files-with-matches files-without-match word-regexp "
    "line-regexp fixed-strings extended-regexp basic-regexp perl-regexp invert-match no-messages with-filename "
    "no-filename quiet silent text null color color= colour colour= include= exclude= exclude-dir= max-count= "
    "after-context= before-context= context= regexp=",
    pattern_options="e regexp f file",
)
_SUMS = Form(flags="btz", long="tag zero binary text")
_PARTS = Form(flags="qvz", values="nc", long="lines= bytes= quiet silent verbose zero-terminated", numbers=True)

LOOSE_READERS = frozenset(names("diff jq ps w"))
"""Readers that reach beyond the paths that they are given: by links in a directory, by an `import` in a filter, or
because what they tell about is other processes, with all that these were told."""
TEXT_ONLY = frozenset(names("basename dirname echo false printf pwd seq tr true"))
"""They open no file, whatever they are given."""

READERS: dict[str, tuple[str, Form]] = {
    "cat": ("file_read", Form(flags="AbeEnstTuv", long="show-all number number-nonblank squeeze-blank show-ends")),
    "tac": ("file_read", Form()),
    "rev": ("file_read", Form()),
    "nl": ("file_read", Form(values="bdfhilnsvw")),
    "head": ("file_read", _PARTS),
    "tail": ("file_read", _PARTS),
    "wc": ("file_read", Form(flags="clmwL", long="bytes chars lines words max-line-length")),
    "grep": ("search", _GREP),
    "egrep": ("search", _GREP),
    "fgrep": ("search", _GREP),
    "cut": ("file_read", Form(flags="nsz", values="bcdf", long="bytes= characters= delimiter= fields= complement")),
    "sort": ("file_read", Form(flags="bcCdfghinMrRsuVz", values="kt", long="reverse unique key= numeric-sort check")),
    "uniq": ("file_read", Form(operands="one_path", flags="cdDiuz", values="fsw", long="count repeated unique")),
    "tr": ("file_read", Form(operands="text", flags="cCdst", long="delete squeeze-repeats complement")),
    "paste": ("file_read", Form(flags="sz", values="d")),
    "fold": ("file_read", Form(flags="bs", values="w", long="width= spaces")),
    "comm": ("file_read", Form(flags="123z")),
    "cmp": ("file_read", Form(flags="bls", values="n")),
    "diff": (
        "file_read",
        Form(flags="aBbcdeEilnNpqstTuwyZ", values="CUFIWx", long="brief unified unified= side-by-side"),
    ),
    "od": ("file_read", Form(flags="bcdfiloxsv", values="AjNt")),
    "hexdump": ("file_read", Form(flags="bcCdovx", values="ns")),
    "strings": ("file_read", Form(flags="af", values="nt", expands_files=True)),
    "base64": ("file_read", Form(flags="di", values="w", long="decode wrap=")),
    "jq": (
        "file_read",
        Form(operands="text_then_paths", flags="acCeMnrsS", long="raw-output compact-output slurp tab"),
    ),
    "md5sum": ("file_read", _SUMS),
    "sha1sum": ("file_read", _SUMS),
    "sha256sum": ("file_read", _SUMS),
    "sha512sum": ("file_read", _SUMS),
    "b2sum": ("file_read", _SUMS),
    "cksum": ("file_read", Form()),
    "ls": (
        "list",
        Form(
            flags="aAbBcCdfFgGhiklmnNopqQrRsStuUvxX1",
            values="ITw",
            long="all almost-all human-readable recursive reverse size directory color color= sort= time= time-style= "
            "full-time group-directories-first inode numeric-uid-gid format=",
        ),
    ),
    "stat": ("list", Form(flags="ft", values="c", long="format= printf= terse file-system")),
    "file": ("list", Form(flags="biN", long="brief mime mime-type mime-encoding")),
    "du": (
        "list",
        Form(flags="abchkmsSx", values="d", long="all human-readable summarize total max-depth= bytes apparent-size"),
    ),
    "tree": ("list", Form(flags="adDfFhiprstuC", values="ILP", long="dirsfirst noreport du")),
    "realpath": ("list", Form(flags="emqsz", long="canonicalize-existing canonicalize-missing")),
    "readlink": ("list", Form(flags="efmnqsvz")),
    "basename": ("text", Form(operands="text", flags="az", values="s")),
    "dirname": ("text", Form(operands="text", flags="z")),
    "pwd": ("list", Form(operands="none", flags="LP")),
    "echo": ("text", Form(operands="text", flags="neE")),
    "printf": ("text", Form(operands="text")),
    "seq": ("text", Form(operands="text", flags="w", values="fs")),
    "true": ("text", Form(operands="none")),
    "false": ("text", Form(operands="none")),
    "which": ("list", Form(operands="text", flags="a")),
}
"""Read-only, with nothing but the paths they are given: low risk."""

PACKAGE_CHECKS: dict[str, dict[str, Form]] = {
    "apt": {
        "list": Form(
            operands="text",
            flags="a",
            long="installed upgradable upgradeable all-versions manual-installed verbose",
        ),
        "show": Form(operands="text", flags="a", long="all-versions"),
        "policy": Form(operands="text"),
        "search": Form(operands="text", flags="n", long="names-only full"),
        "depends": Form(operands="text"),
        "rdepends": Form(operands="text"),
        "--version": Form(operands="none"),
    },
    "apt-cache": {
        name: Form(operands="text", flags="an", long="installed names-only full all-versions")
        for name in ("show", "showpkg", "policy", "search", "depends", "rdepends", "madison", "stats", "pkgnames")
    },
    "dpkg": {
        name: Form(operands="text")
        for name in names(
            "-l --list -L --listfiles -s --status -S --search -p --get-selections --version --print-architecture"
        )
    },
    "dpkg-query": {name: Form(operands="text") for name in names("-l --list -L --listfiles -s --status -S --search")}
    | {name: Form(operands="text", values="f", long="showformat=") for name in ("-W", "--show")},
    "rpm": {name: Form(operands="text") for name in ("-q", "-qa", "-qi", "-ql")},
    "apk": {name: Form(operands="text", flags="aevI", long="installed") for name in ("info", "list", "policy")},
}
"""By the first argument: what is known of the packages that are installed, or could be. Low risk."""

SYSTEM: dict[str, Form] = {
    "uname": Form(operands="none", flags="amnoprsiv", long="all machine nodename kernel-name kernel-release"),
    "arch": Form(operands="none"),
    "nproc": Form(operands="none", long="all ignore="),
    "whoami": Form(operands="none"),
    "id": Form(operands="text", flags="Ggnruz", long="user group groups name"),
    "groups": Form(operands="text"),
    "hostname": Form(operands="none", flags="adfiIsAy"),
    "uptime": Form(operands="none", flags="ps", long="pretty since"),
    "date": Form(operands="text", flags="uRI", values="d", long="utc universal iso-8601 iso-8601= rfc-3339= date="),
    "df": Form(flags="ahHiklmPT", values="tBx", long="human-readable total output output= all inodes print-type"),
    "free": Form(operands="none", flags="bhkmgtwl", long="human total wide bytes kibi mebi gibi si"),
    "ps": Form(operands="text", flags="aAcdefFHjlLmMTuvwxyZ", values="CGopstU", long="forest sort= no-headers"),
    "lscpu": Form(operands="none", flags="abceJxy"),
    "lsblk": Form(operands="none", flags="abdfilmnprSt", values="o"),
    "vmstat": Form(operands="text", flags="afmnsdtw"),
    "who": Form(operands="none", flags="abdHlmpqrstTu"),
    "w": Form(operands="text", flags="hsfoi"),
    "env": Form(operands="none"),
    "printenv": Form(operands="text", flags="0"),
    "locale": Form(operands="text", flags="ackm"),
    "getconf": Form(operands="text", flags="a"),
}
"""Read-only, about the machine that Retinue runs on: medium risk."""

WRITERS: dict[str, Form] = {
    "cp": Form(flags="afinpPrRTuv", long="recursive archive verbose no-clobber force"),
    "mv": Form(flags="finTuv", long="verbose no-clobber force"),
    "rm": Form(flags="dfiIrRv", long="recursive force verbose dir"),
    "mkdir": Form(flags="pv", values="m", long="parents verbose mode="),
    "rmdir": Form(flags="pv", long="parents verbose"),
    "touch": Form(flags="acm", values="dt", long="date= no-create"),
    "ln": Form(flags="fnsTv", long="symbolic force"),
    "chmod": Form(operands="text_then_paths", flags="cfRv", long="recursive verbose"),
    "truncate": Form(flags="co", values="s", long="size= no-create"),
}
"""They change the files they are given, and nothing else."""


class Kind(msgspec.Struct, frozen=True):
    """Programs that are known by name only."""

    action: str
    what: str


_FILE = Kind("file_write", "It changes files.")
_NETWORK = Kind("network", "It opens connections.")
_PROCESS = Kind("process", "It steers other processes.")
_CODE = Kind("interpreter", "It runs a program that was written for it.")
_PACKAGE = Kind("package_change", "It changes installed packages.")
_SYSTEM = Kind("system_change", "It changes the system.")

_NAMES = {
    _FILE: "tee dd install sed patch tar zip unzip gzip gunzip bzip2 xz split shred",
    _NETWORK: "curl wget ssh scp sftp rsync nc ncat netcat socat telnet ftp ping dig host nslookup whois nmap",
    _PROCESS: "kill pkill killall killall5 nohup setsid nice timeout xargs watch crontab at batch systemctl service",
    _CODE: "python python3 perl ruby node deno bun php lua awk gawk mawk make gcc cc npx",
    _PACKAGE: "apt apt-get aptitude dpkg rpm yum dnf apk pip pip3 npm yarn gem cargo snap brew",
    _SYSTEM: "chown chgrp mount umount useradd userdel usermod passwd sysctl iptables ip",
    Kind("shell", "It runs a program for the shell."): "sh bash dash zsh ksh fish busybox",
    Kind("version_control", "It runs what the repository's own configuration names."): "git",
}

KINDS: dict[str, Kind] = {name: kind for kind, listed in _NAMES.items() for name in names(listed)}

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})

FIND_TESTS = frozenset(
    names(
        """
        -name -iname -path -ipath -regex -iregex -type -size -mtime -mmin -atime -amin -ctime -cmin -maxdepth
        -mindepth -empty -print -print0 -ls -not -a -and -o -or -perm -user -group -prune -quit -links -printf
        -readable -writable -executable -depth -mount -xdev -daystart
        """
    )
)
"""What `find` may be told without writing, running anything or following links."""
