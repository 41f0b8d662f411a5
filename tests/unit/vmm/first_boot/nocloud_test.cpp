// SPDX-License-Identifier: Apache-2.0
// The files of cloud-init's data source NoCloud, and which user data is refused.
#include "vmm/first_boot/nocloud.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace gpuvm::nocloud_test {
namespace {

std::string refusal(const std::string& contents) {
  const auto status = check_user_data({.path = "/u", .contents = contents});
  return status ? "" : status.error().to_string();
}

std::string file_of(const std::vector<VolumeFile>& files, std::string_view name) {
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&name](const auto& file) { return file.name == name; });
  return found == files.end() ? "absent" : found->contents;
}

TEST(UserData, AllThatCloudInitTakes) {
  for (const char* text :
       {"", "\n", "#cloud-config\n", "#cloud-config\npackages: [vim]\n", "\n #Cloud-Config\na: 1\n",
        "#!/bin/sh\necho hello: [\n", "#include\nhttp://x\n", "#include-once\nhttp://x\n",
        "#cloud-boothook\n: [\n", "#part-handler\n", "#cloud-config-archive\n- type: x\n",
        "#cloud-config-jsonp\n[]\n", "## template: jinja\n#cloud-config\n{% if x %}\n",
        "Content-Type: multipart/mixed; boundary=\"x\"\n", "MIME-Version: 1.0\n",
        "\x1f\x8b\x08 packed"}) {
    EXPECT_EQ(refusal(text), "") << text;
  }
}

TEST(UserData, YamlThatIsNone) {
  EXPECT_EQ(refusal("#cloud-config\npackages:\n- vim\n runcmd: [ls]\n").rfind("/u:4:", 0), 0U)
      << refusal("#cloud-config\npackages:\n- vim\n runcmd: [ls]\n");
  EXPECT_EQ(refusal("#cloud-config\n- a\n"),
            "/u is YAML, but no mapping: it has lines of \"KEY: VALUE\"");
  EXPECT_EQ(refusal("#cloud-config-archive\na: 1\n"),
            "/u is a mapping: a #cloud-config-archive is a list");
}

// The commonest mistake: the first line is missing, and cloud-init ignores the file.
TEST(UserData, WithoutItsFirstLine) {
  EXPECT_EQ(refusal("packages: [vim]\n"),
            "/u begins with \"packages: [vim]\", by which cloud-init does not know what it is: "
            "write #cloud-config into the first line of YAML, #!/bin/sh into that of a script");
  EXPECT_NE(refusal("\x7f\x45LF\x01\x02"), "");
  EXPECT_NE(refusal("# cloud-config\n"), "");
}

TEST(NoCloud, MadeMetaData) {
  const auto files = nocloud_files({.guest = "render_1"});
  ASSERT_TRUE(files);
  EXPECT_EQ(file_of(*files, "user-data"), "");
  const auto meta = file_of(*files, "meta-data");
  EXPECT_EQ(meta.rfind("instance-id: \"render_1-", 0), 0U) << meta;
  EXPECT_NE(meta.find("local-hostname: \"render-1\"\n"), std::string::npos) << meta;
  EXPECT_EQ(meta.find("public-keys"), std::string::npos);
  EXPECT_EQ(file_of(*files, "network-config"), "absent");
  EXPECT_EQ(file_of(*files, "vendor-data"), "absent");
}

// With other contents the guest is another instance, with the same ones it is the same.
TEST(NoCloud, InstanceFollowsContents) {
  const auto meta = [](const std::string& user, const std::string& network) {
    NoCloudInput input{.guest = "g", .user_data = NoCloudInput::File{"/u", user}};
    input.network_config = NoCloudInput::File{"/n", network};
    return file_of(*nocloud_files(input), "meta-data");
  };
  EXPECT_EQ(meta("#!/a", "version: 2"), meta("#!/a", "version: 2"));
  EXPECT_NE(meta("#!/a", "version: 2"), meta("#!/b", "version: 2"));
  EXPECT_NE(meta("#!/a", "version: 2"), meta("#!/a", "version: 1"));
}

TEST(NoCloud, KeyForRoot) {
  const auto files = nocloud_files({.guest = "g", .ssh_key = "ssh-ed25519 AAAA a\"b"});
  ASSERT_TRUE(files);
  EXPECT_NE(file_of(*files, "meta-data").find("public-keys:\n- \"ssh-ed25519 AAAA a\\\"b\"\n"),
            std::string::npos);
  EXPECT_EQ(file_of(*files, "vendor-data"),
            "#cloud-config\ndisable_root: false\nssh_authorized_keys:\n"
            "- \"ssh-ed25519 AAAA a\\\"b\"\n");
}

TEST(NoCloud, TheUsersOwnFiles) {
  NoCloudInput input{.guest = "g"};
  input.meta_data = NoCloudInput::File{"/m", "instance-id: mine\n"};
  input.network_config = NoCloudInput::File{"/n", "version: 2\n"};
  const auto files = nocloud_files(input);
  ASSERT_TRUE(files);
  EXPECT_EQ(file_of(*files, "meta-data"), "instance-id: mine\n");
  EXPECT_EQ(file_of(*files, "network-config"), "version: 2\n");
  input.meta_data->contents = "a: [\n";
  EXPECT_EQ(nocloud_files(input).error().to_string().rfind("cloud_init.meta_data: /m:", 0), 0U);
  input.meta_data.reset();
  input.network_config->contents = "- a\n";
  EXPECT_EQ(nocloud_files(input).error().to_string(),
            "cloud_init.network_config: /n is YAML, but no mapping: it has lines of \"KEY: "
            "VALUE\"");
}

}  // namespace
}  // namespace gpuvm::nocloud_test
