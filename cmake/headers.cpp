// SPDX-License-Identifier: Apache-2.0
// The one file of the targets that exist for their precompiled headers.
int main() {}
