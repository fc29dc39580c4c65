"""The system calls that the filter refuses, by their numbers on x86_64 and aarch64; none if there is no such call."""

Numbers = dict[str, tuple[int, int | None]]
Only = tuple[tuple[int, int], ...]
"""Words of 32 bits of a call's arguments, by their place in what a filter sees, and the values they must have."""

_FIRST, _SECOND, _THIRD = ((16 + 8 * place, 20 + 8 * place) for place in range(3))
_OF_ITSELF: Only = ((_FIRST[0], 0),)
"""A process number, of which the kernel takes the lower half: 0 is the process that calls."""

ALWAYS: Numbers = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "delete_module": (176, 106),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "kcmp": (312, 272),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    # They tell of files that a process may not open.
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    # What they make belongs to no directory, is there for other processes of the user and outlives its maker.
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
}

ONLY: dict[str, tuple[int, int, Only]] = {
    # Otherwise they reach every process of the user, the server among them.
    "prlimit64": (302, 261, _OF_ITSELF),
    "sched_setaffinity": (203, 122, _OF_ITSELF),
    "sched_setattr": (314, 274, _OF_ITSELF),
    "sched_setparam": (142, 118, _OF_ITSELF),
    "sched_setscheduler": (144, 119, _OF_ITSELF),
    "setpriority": (141, 140, ((_FIRST[0], 0), (_SECOND[0], 0))),
    "ioprio_set": (251, 30, ((_FIRST[0], 1), (_SECOND[0], 0))),
}

MARKS: Numbers = {
    "chmod": (90, None),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    # By a descriptor, but the right to use root's files is enough for them.
    "fsetxattr": (190, 7),
    "fremovexattr": (199, 16),
}
MARKS_OF_OWNERS: Numbers = {
    "fchmod": (91, 52),
    "fchown": (93, 55),
}
_WITHOUT_PATH: Only = ((_SECOND[0], 0), (_SECOND[1], 0))
_NOW: Only = ((_THIRD[0], 0), (_THIRD[1], 0))
TIMES_BY_DESCRIPTOR: tuple[int, int, Only] = (280, 88, _WITHOUT_PATH)
"""utimensat, which takes a path or none."""
TIMES_OF_NOW: tuple[int, int, Only] = (280, 88, (*_WITHOUT_PATH, *_NOW))
"""The least that `touch` needs to make a file. So the times of a file that may be read can become those of now."""

SOCKET = (41, 198)
CLONE = (56, 220)
CLONE3 = 435
