// SPDX-License-Identifier: Apache-2.0
// ScriptFolder: shell scripts in the place of programs that gpuvm runs, and what they leave behind.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace gpuvm::test {

class ScriptFolder {
 public:
  ScriptFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-script-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScriptFolder() { std::filesystem::remove_all(path_); }
  ScriptFolder(const ScriptFolder&) = delete;
  ScriptFolder& operator=(const ScriptFolder&) = delete;

  const std::string& path() const { return path_; }
  /// A program that does this.
  std::string script(const std::string& text) const {
    const std::string file = path_ + "/program";
    std::ofstream(file) << "#!/bin/sh\n" << text;
    ::chmod(file.c_str(), 0700);
    return file;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

}  // namespace gpuvm::test
