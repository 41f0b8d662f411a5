// SPDX-License-Identifier: Apache-2.0
// "Seen": strace(1) of the programs in Debian 12 while they served a disk, a folder and a network:
// qemu-storage-daemon 7.2.22, virtiofsd 7.2.22 (the one in C), passt 2023-03-09.
#include "vmm/helper/helper_profile.hpp"

#include <linux/capability.h>
#include <sched.h>

namespace gpuvm {
namespace {

using sandbox::capability;

constexpr sandbox::Capabilities kOfStorageDaemon = capability(CAP_DAC_OVERRIDE);
constexpr sandbox::Capabilities kOfPasst = capability(CAP_NET_BIND_SERVICE);
constexpr sandbox::Capabilities kServesFiles =
    capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) | capability(CAP_FOWNER) |
    capability(CAP_FSETID) | capability(CAP_SETGID) | capability(CAP_SETUID) |
    capability(CAP_SETFCAP);
constexpr sandbox::Capabilities kMakesSandbox = capability(CAP_SYS_ADMIN) | capability(CAP_SETPCAP);

}  // namespace

const HelperProfile& storage_daemon_profile() {
  static const HelperProfile profile{
      .name = "qemu-storage-daemon",
      .is_ordinary_user = {true, "it serves open descriptors and names no path",
                           "seen: it reopens /proc/self/fd/N and opens nothing else of its own"},
      .capabilities = {kOfStorageDaemon,
                       "reopening a descriptor asks for the file's rights again; only with images "
                       "that its user could not open, and it sees no other files",
                       "proc(5), /proc/pid/fd; capabilities(7)"},
      .namespaces = {CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID,
                     "it talks by one socket that is open; others of its user must be out of "
                     "reach",
                     "qemu-storage-daemon(1), --export vhost-user-blk, addr.type=fd"},
      .files = {FileView::kOwnTree, "it has no sandbox of its own",
                "qemu-storage-daemon(1): qemu's -sandbox is not among its options"},
      .has_landlock = {true, "the same, also where gpuvm is not root", "landlock(7)"},
      .calls = {storage_daemon_calls(), "it has no filter of its own", "seen; storage_rows.cpp"},
      .may_exec = {false, "it starts no program", "seen"},
      .open_files = {1024, "images, and two descriptors for each of 16 queues", "seen: 30"},
      .threads = {4096, "64 workers for each disk, of all guests of one user",
                  "QEMU docs, thread-pool-max; seen: 8"},
  };
  return profile;
}

const HelperProfile& virtiofsd_profile() {
  static const HelperProfile profile{
      .name = "virtiofsd",
      .is_ordinary_user = {false,
                           "it makes files for the guest's users and changes to their ids for it",
                           "virtiofsd(1), \"The program must be run as the root user\""},
      .capabilities = {kServesFiles | kMakesSandbox,
                       "what it keeps when it serves, and the two that its sandbox is made with "
                       "and that it gives up then; not CAP_MKNOD, a node would be the host's "
                       "device",
                       "virtiofsd(1), -o modcaps; seen: CapEff 800000db"},
      .namespaces = {CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID,
                     "it talks by one socket that is open. The child that serves is in one more "
                     "process namespace, which it makes itself, and is asked by SIGTERM alone to "
                     "go with its parent: with ours the kernel kills both",
                     "virtiofsd(1), -o sandbox=namespace; seen: unshare(CLONE_NEWNS | "
                     "CLONE_NEWPID | CLONE_NEWNET), prctl(PR_SET_PDEATHSIG, SIGTERM); "
                     "pid_namespaces(7)"},
      .files = {FileView::kOwnTreeAndProc,
                "until its sandbox stands it is root with the whole host before it",
                "seen: it reads /proc/sys/fs and mounts /proc anew"},
      .has_landlock = {false, "Landlock forbids mount(2), of which its own sandbox is made",
                       "landlock(7)"},
      .calls = {{},
                "it has an allow list of its own, which differs between versions",
                "seen: Seccomp 2"},
      .may_exec = {false, "it starts no program", "seen"},
      .open_files = {1'000'000,
                     "one for each file that the guest knows; it asks for as many, and the right "
                     "to is not left to it",
                     "virtiofsd(1), --rlimit-nofile"},
      .threads = {0, "does not count for root", "setrlimit(2)"},
  };
  return profile;
}

const HelperProfile& passt_profile() {
  static const HelperProfile profile{
      .name = "passt",
      .is_ordinary_user = {true, "it is made to run as one, and leaves root at once",
                           "passt(1), SECURITY; seen: setuid(65534)"},
      .capabilities = {kOfPasst, "ports below 1024 that are forwarded, and only with such",
                       "passt(1), NOTES, \"Low ports\"; ip(7)"},
      .namespaces = {0,
                     "the network is what it is for; the others it makes itself, before it hears "
                     "the guest",
                     "passt(1), SECURITY; seen: unshare(CLONE_NEWUSER), then CLONE_NEWNS | "
                     "CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID"},
      .files = {FileView::kHost,
                "it reads /etc/resolv.conf and the like first; then its root is an empty folder",
                "seen: pivot_root(2) into an empty tmpfs"},
      .has_landlock = {false, "Landlock forbids mount(2), of which its own sandbox is made",
                       "landlock(7)"},
      .calls = {{}, "it has an allow list of its own, made for each version", "seen: Seccomp 2"},
      .may_exec = {true, "it starts itself anew as passt.avx2; its own filter forbids more",
                   "seen: execve(passt.avx2)"},
      .open_files = {0, "one for each connection of the guest, of which it wants all it may have",
                     "passt(1)"},
      .threads = {0, "it has none, and its filter forbids more", "seen"},
  };
  return profile;
}

}  // namespace gpuvm
