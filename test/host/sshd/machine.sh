#!/bin/sh
# machine.sh FOLDER SHELL SSHD USER ROOT: this machine's programs as another machine, with folders of its own, behind an
# sshd. Runs in a mount namespace of its own, so that nothing of it is left. SHELL is root's login shell there, /srv/home
# its home; USER, where it is not empty, is another user; ROOT, where it is not empty, has the programs of another
# release.
set -eu
folder=$1 shell=$2 sshd=$3 user=$4 root=$5
for place in /srv /run /var/lib; do mount -t tmpfs tmpfs "$place"; done
mkdir -m 0755 /run/sshd /srv/home
sed "s,^\(root:[^:]*:[^:]*:[^:]*:[^:]*\):.*$,\1:/srv/home:$shell," /etc/passwd >"$folder/passwd"
grep -q ^sshd: "$folder/passwd" || echo 'sshd:x:74:65534::/run/sshd:/usr/sbin/nologin' >>"$folder/passwd"
[ -z "$user" ] || echo "$user:x:1077:1077::/srv/home:/bin/sh" >>"$folder/passwd"
chmod 644 "$folder/passwd"
mount --bind "$folder/passwd" /etc/passwd
[ ! -f "$folder/bashrc" ] || cp "$folder/bashrc" /srv/home/.bashrc
if [ -n "$root" ]; then
	for place in /etc/alternatives /etc/ld.so.cache /usr; do mount --bind "$root$place" "$place"; done
fi
exec "$sshd" -D -e -f "$folder/sshd_config"
