// SPDX-License-Identifier: Apache-2.0
// Folders in which a file that this process makes stays what it is: only root and this process's
// user make, rename and remove files there, or, with the sticky bit (/tmp), others only their own.
// They are held by a descriptor and their files named below it (openat(2) and its like), so that
// what is put at the path meanwhile does not matter. The folders above are not judged: whoever owns
// one can put another folder at the path, which is then his, and no trusted one.
#pragma once

#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// The folder at `path` ("": the current one), as a descriptor for *at() calls (O_PATH); an invalid
/// one where there is none, or none that this user may look for. Its last part must be no symbolic
/// link. Errors: kHost, for one that is not to be trusted, with what is wrong and the cure.
Result<UniqueFd> open_trusted_folder(const std::string& path);

/// The same; made where there is none (0755 for root, else 0700), in a folder that is there.
/// Errors: as above, and where it cannot be made.
Result<UniqueFd> make_trusted_folder(const std::string& path);

/// What is wrong with the open folder `fd`, which is at `path`. Errors: kHost.
Status check_trusted_folder(int fd, const std::string& path);

}  // namespace gpuvm
