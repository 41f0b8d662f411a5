// SPDX-License-Identifier: Apache-2.0
// An empty root: a mount namespace in which there is nothing but an empty folder that nothing can
// be written to. unshare(2), pivot_root(2), mount_namespaces(7).
#pragma once

namespace gpuvm::sandbox {

/// Moves the calling thread into a new mount namespace whose root is an empty, read-only tmpfs;
/// the old tree is unmounted there, and nobody else sees a change. Open descriptors stay. Needs
/// CAP_SYS_ADMIN, and no Landlock rules on the thread (they forbid mount(2)). 0 or errno.
/// Async-signal-safe.
int enter_empty_root() noexcept;

}  // namespace gpuvm::sandbox
