// SPDX-License-Identifier: Apache-2.0
// Files that gpuvm writes. Their folders may belong to somebody else than gpuvm's user (who may be
// root), and what is in them is often a guest's: whoever may write there must not lead the writing
// to another file. So no link is followed at a path's end, a file with a second name is refused, a
// stranger's too, and a file that is replaced is made anew under a name that nobody can foresee,
// below the descriptor of a folder that was opened once. Links in a path's folders are followed:
// the path is its user's word.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// What open_output() is to do.
struct OutputRules {
  enum class Start {
    kAppend,  ///< every write goes to the end (O_APPEND)
    kEmpty,   ///< a regular file loses what it holds, once it is known to be the right one
  };
  Start start = Start::kAppend;
  /// The descriptor stays non-blocking: a FIFO that nobody empties stops nobody.
  bool nonblocking = false;
  /// A FIFO with a reader, a terminal or another character device will do, too.
  bool stream = true;
  mode_t mode = 0644;                  ///< of a new file, less the umask
  ErrorKind kind = ErrorKind::kUsage;  ///< of the errors
};

/// Opens the file for writing; makes it where it is not there. Of what is there it refuses:
/// symbolic links, regular files with a second name (hard link), files and FIFOs of a user who is
/// neither this process's, nor root, nor the owner of their folder, folders, disks. Paths below
/// /dev (but /dev/shm) and /proc are taken as they are: /dev/stdout and /dev/fd/N are links. Never
/// waits. Errors: rules.kind, naming the path and the cure.
Result<UniqueFd> open_output(const std::string& path, const OutputRules& rules);

/// Writes all of it, waiting where it must. Errors: kHost, naming `name`.
Status write_output(int fd, std::string_view text, const std::string& name);

class NewFile;

/// A name in a folder that is held open, for a file that is written anew as a whole. What others do
/// to the folder's own path later does not matter. Not thread-safe.
class OutputPlace {
 public:
  /// Opens the path's folder; nothing need be at the path itself. Errors: kind.
  static Result<OutputPlace> open(std::string path, ErrorKind kind);

  const std::string& path() const { return path_; }
  /// The folder's descriptor, for a sandbox's rules.
  int folder() const { return folder_.get(); }

  /// What is at the path, if it is a regular file with one name; no descriptor where there is
  /// nothing. access: O_RDONLY, O_WRONLY or O_RDWR. Errors: kind.
  Result<UniqueFd> open_existing(int access) const;
  /// An empty file of a name of its own in the folder. This must stay where it is as long as that
  /// is on its way. Errors: kHost.
  Result<NewFile> create(mode_t mode) const;
  /// Gives what is at the path another name in the folder; false: that one is taken. Errors: kind.
  Result<bool> rename_to(const std::string& name) const;
  /// The path's last part.
  const std::string& name() const { return name_; }

 private:
  OutputPlace(std::string path, std::string name, UniqueFd folder, ErrorKind kind)
      : path_(std::move(path)), name_(std::move(name)), folder_(std::move(folder)), kind_(kind) {}

  std::string path_;
  std::string name_;
  UniqueFd folder_;
  ErrorKind kind_;
};

/// A file on its way to its place. It is removed again unless it gets there.
class NewFile {
 public:
  enum class Place {
    kReplace,  ///< whatever is there; a link itself, not its target
    kOnlyNew,  ///< only where there is nothing
  };
  NewFile(NewFile&& other) noexcept;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile();

  /// For reading and writing.
  int fd() const { return fd_.get(); }
  /// Its contents reach the disk, then the file its place in one step. The descriptor is the
  /// caller's from then on. Errors: kHost.
  Result<UniqueFd> take_place(Place place);

 private:
  friend class OutputPlace;
  NewFile(const OutputPlace& place, std::string name, UniqueFd fd)
      : place_(&place), name_(std::move(name)), fd_(std::move(fd)) {}
  int rename(unsigned flags);

  const OutputPlace* place_;
  std::string name_;  ///< ""; it has its place
  UniqueFd fd_;
};

/// A file of this text at the path, in one step, in the place of whatever was there; a stream
/// (FIFO, /dev/stdout) is written to. Errors: kHost; `kind` where the folder cannot be opened.
Status replace_output(const std::string& path, std::string_view text, ErrorKind kind);

}  // namespace gpuvm
