# SPDX-License-Identifier: Apache-2.0
# Read by cpack itself: folders that it makes are readable, whatever the umask of who builds the package.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
