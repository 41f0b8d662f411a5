// SPDX-License-Identifier: Apache-2.0
// ArtifactFolder: where a job leaves its files (`gpuvm test --artifacts DIR`). A runner's workspace
// may belong to another user than gpuvm's: no link that lies there is followed, and a file of ours
// takes the place of whatever had its name.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class ArtifactFolder {
 public:
  /// Makes the folder, and those above it, where they are not there, and makes a file to see
  /// whether it can be written. Its path's last part must not be a symbolic link: whose workspace
  /// this is could lead root anywhere. Errors: kUsage.
  static Result<ArtifactFolder> open(const std::string& path);

  /// A new, empty file for reading and writing. Errors: kUsage.
  Result<UniqueFd> create(const std::string& name) const;
  /// A new, empty folder in the place of whatever had its name. Errors: kUsage.
  Result<UniqueFd> create_folder(const std::string& name) const;
  /// A new file with this text. Errors: kHost, kUsage.
  Status write(const std::string& name, const std::string& text) const;
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }
  /// Which of these names, of files or folders in here, the file at this path would be, or lie
  /// below; nothing: it is elsewhere. The file need not be there.
  std::optional<std::string> name_in_here(const std::string& path,
                                          const std::vector<std::string>& names) const;

 private:
  ArtifactFolder(UniqueFd folder, std::string path)
      : folder_(std::move(folder)), path_(std::move(path)) {}

  UniqueFd folder_;
  std::string path_;
};

/// Writes all of it. Errors: kHost, naming `name`.
Status write_whole(int fd, const std::string& text, const std::string& name);
/// By which something that opens files by their name gets this open one.
std::string path_of_open_file(int fd);

}  // namespace gpuvm
