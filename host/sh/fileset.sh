# The far side of host:FileSet. It needs only sh, coreutils and tar. Every apply leaves a copy of it in
# /var/lib/pulumi-host/fileset.sh, for the commands that other programs and people may call:
#
#   settle NAME GROUP=REVISION ...  records that these groups have reacted and were verified: nothing is owed any more
#   undo NAME [GENERATION]          puts back the files as they were before that generation; without one, as they were
#                                   when they were last settled, or, where they never were, as the first apply found
#                                   them. Prints the paths
#   generations NAME                lists the generations that undo can go back before, newest first:
#                                   name, a tab, the files that it replaced
#   revisions NAME                  lists GROUP=REVISION, one a line: what settle takes once all has reacted
#
# And for the plugin, which sends this script and its data in one stream:
#
#   read NAME     stdin: a tar with paths and conditions. stdout: a tar of the files that exist, of the records, and of
#                 what the conditions' scripts print
#   apply NAME    stdin: a tar with files, preconditions, checks, hooks and removals (see fileSet.ts)
#   delete NAME   stdin: paths, one a line
#
# Records in /var/lib/pulumi-host/NAME:
#   revisions/GROUP        the revision at which something of the group last changed
#   verified/GROUP         the revision that was last settled; a restart is owed while the two differ
#   journal                the staged files of an apply that is under way, or was cut off
#   generations/REVISION   what that revision replaced: before/PATH, and the lists changed and groups
# shellcheck shell=sh
set -eu
umask 077
export LC_ALL=C

action=$1
records=/var/lib/pulumi-host/$2
lock_file=/run/pulumi-host-$2.lock
tab=$(printf '\t')
lock=
work=
generation=

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

[ "$(id -u)" -eq 0 ] || fail "$(id -un) is not root, and only root can manage these files; log in as root"

finish() {
	[ -z "$work" ] || rm -rf "$work"
	[ -z "$lock" ] || rm -f "$lock"
}

# /run is in memory, so that neither secrets nor a lock outlive a reboot.
begin() {
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	for left in /run/pulumi-host.*; do
		[ ! -d "$left" ] || kill -0 "$(basename "$left" | cut -d . -f 2)" 2>/dev/null || rm -rf "$left"
	done
	work=$(mktemp -d "/run/pulumi-host.$$.XXXXXX")
}

# began PID: when that process was started, in ticks since the boot; false where there is none.
began() {
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The fields behind the name, which may have spaces in it.
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	printf '%s' "${20}"
}

# holder: prints the pid of the update of these files that is running on this host; false where there is none. A number by
# itself may be another program's by now.
holder() {
	read -r pid since 2>/dev/null <"$lock_file" || return 1
	[ "$(began "$pid")" = "$since" ] && printf '%s' "$pid"
}

take_lock() {
	printf '%s %s\n' "$$" "$(began "$$")" >"$work/lock"
	if ! ln "$work/lock" "$lock_file" 2>/dev/null; then
		! running=$(holder) || fail_running
		rm -f "$lock_file"
		ln "$work/lock" "$lock_file" 2>/dev/null || fail "another update of these files has just begun on this host; run again"
	fi
	lock=$lock_file
}

fail_running() {
	fail "another update of these files is running on this host (pid $running); wait for it to end and run again"
}

# Ten seconds at most: what is there while files are being replaced is neither the one state nor the other.
await_update() {
	tries=0
	while running=$(holder); do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || fail_running
		sleep 0.1
	done
}

# A revision is its time on this host, which people can read. What counts is that each one sorts after the one before,
# whatever the clock says: where the clock is behind, it is the one before with a number.
new_revision() {
	revision=$(date -u +%Y%m%dT%H%M%S.%3NZ)
	newest=$({
		find_generations
		cat "$records"/revisions/* "$records"/verified/* 2>/dev/null || true
	} | sort | tail -n 1)
	last=$(printf '%s\n%s\n' "$revision" "$newest" | sort | tail -n 1)
	if [ "$revision" = "$newest" ] || [ "$revision" != "$last" ]; then
		time=${newest%Z*}Z
		count=${newest#"$time"}
		count=${count#.}
		# Six digits that do not begin with 0, which sh would take for octal.
		revision=$time.$((${count:-100000} + 1))
	fi
}

# Where a file is staged: in its own directory, so that a rename puts it in place.
staging() {
	printf '%s/.%s.staged' "$(dirname "$1")" "$(basename "$1")"
}

changes() {
	while IFS= read -r changed_path; do
		[ "$changed_path" != "$1" ] || return 0
	done <"$work/changed.paths"
	return 1
}

# For checks: the staged file where there is one, else the live one.
staged() {
	if changes "$1"; then staging "$1"; else printf '%s' "$1"; fi
}

content() {
	sha256sum <"$1"
}

# same FILE MODE OWNER PATH: is the live file already as declared?
same() {
	[ -f "$4" ] && [ ! -L "$4" ] && [ "$(stat -c '%a %U:%G' "$4")" = "$2 $3" ] && [ "$(content "$1")" = "$(content "$4")" ]
}

# is_immutable PATH: has somebody locked the file against every change? Where lsattr can't tell, it is not.
is_immutable() {
	[ -f "$1" ] && command -v lsattr >/dev/null && lsattr -d "$1" 2>/dev/null | cut -d ' ' -f 1 | grep -q i
}

# record DIRECTORY GROUP VALUE, durably and never half-written
record() {
	mkdir -p "$records/$1"
	printf '%s\n' "$3" >"$records/$1/.$2"
	sync "$records/$1/.$2"
	mv -f "$records/$1/.$2" "$records/$1/$2"
	sync "$records/$1"
}

# load_arguments FILE: their words, quoted by the plugin, become the positional parameters; to be evaluated.
load_arguments() {
	if [ -f "$1" ]; then printf 'set -- %s' "$(cat "$1")"; else printf 'set --'; fi
}

# run_script FOLDER NUMBER: the script of that number in the folder, with its arguments.
run_script() (
	script=$1/$2
	eval "$(load_arguments "$script.args")"
	exec sh -e "$script" "$@" </dev/null
)

# judge FOLDER: runs the scripts of which a file changes, in a subshell where they see staged(); stops at the first
# that fails.
judge() {
	judges=$1
	while IFS="$tab" read -r number name; do
		wanted=
		while IFS= read -r path; do
			if changes "$path"; then wanted=yes; fi
		done <"$judges/$number.files"
		[ -n "$wanted" ] || continue
		set +e
		(
			trap - EXIT
			set -e
			eval "$(load_arguments "$judges/$number.args")"
			# shellcheck source=/dev/null
			. "$work/$judges/$number"
		) >judge.out 2>&1 </dev/null
		status=$?
		set -e
		[ "$status" -eq 0 ] || fail "$name: $(cat judge.out)"
	done <"$judges/list"
}

make_parents() {
	missing=$(dirname "$1")
	parents=
	while [ ! -d "$missing" ]; do
		parents="$missing $parents"
		missing=$(dirname "$missing")
	done
	for parent in $parents; do
		if mkdir -m 0755 "$parent" 2>mkdir.err; then
			printf '%s\n' "$parent" >>"$work/created"
		else
			# Another set may have made it just now.
			[ -d "$parent" ] || fail "$(cat mkdir.err)"
		fi
	done
}

# keep PATH: what is there now goes into the generation that is being made.
keep() {
	printf '%s\n' "$1" >>"$generation/changed"
	if [ -e "$1" ] || [ -L "$1" ]; then
		mkdir -p "$generation/before$(dirname "$1")"
		cp -pP "$1" "$generation/before$1"
		sync "$generation/before$1" 2>/dev/null || true # a symlink to nowhere has nothing to sync
	fi
}

# restore PATH from the generation, by rename.
restore() {
	if [ -e "$generation/before$1" ] || [ -L "$generation/before$1" ]; then
		mkdir -p "$(dirname "$1")"
		cp -pP "$generation/before$1" "$(staging "$1")"
		mv -fT "$(staging "$1")" "$1"
	else
		rm -f "$1"
	fi
}

# What the shell itself can't write, it only calls an I/O error.
make_room() {
	head -c 262144 /dev/zero >"$records/.room" 2>room.err || {
		rm -f "$records/.room"
		fail "there is no room in $records: $(cat room.err)"
	}
	rm -f "$records/.room"
}

forget_staged() {
	[ -f "$records/journal" ] || return 0
	while IFS= read -r leftover; do rm -f "$leftover"; done <"$records/journal"
	rm -f "$records/journal"
}

# Until the first rename, whatever goes wrong leaves the host as it was.
abandon() {
	status=$?
	forget_staged || true
	[ -z "$generation" ] || rm -rf "$generation"
	if [ -f "$work/created" ]; then
		tac "$work/created" | while IFS= read -r parent; do rmdir "$parent" 2>/dev/null || true; done
	fi
	finish
	exit "$status"
}

# A rename failed: what was already renamed goes back.
put_back() {
	while IFS= read -r path; do restore "$path"; done <"$work/activated"
}

report() {
	for kind in revisions verified; do
		for file in "$records/$kind"/*; do
			[ -f "$file" ] || continue
			printf '%s\t%s\t%s\n' "$kind" "$(basename "$file")" "$(cat "$file")"
		done
	done
	while IFS= read -r path; do printf 'changed\t%s\n' "$path"; done <"$work/changed.paths"
	cat "$work/remedied"
}

apply() {
	begin
	take_lock
	new_revision
	tar -xf - -C "$work"
	cd "$work"

	: >remedied
	while IFS="$tab" read -r number problem advice; do
		! run_script preconditions "$number" >precondition.out 2>&1 || continue
		[ -f "remedies/$number" ] || fail "$problem; $advice ($(tr '\n' ' ' <precondition.out))"
		run_script remedies "$number" >remedy.out 2>&1 || true
		run_script preconditions "$number" >precondition.out 2>&1 ||
			fail "$problem; $advice ($(tr '\n' ' ' <precondition.out); what was tried said: $(tail -n 3 remedy.out | tr '\n' ' '))"
		printf 'remedied\t%s\n' "$problem: put right" >>remedied
	done <preconditions/list

	: >changed
	: >changed.paths
	: >activated
	while IFS="$tab" read -r number mode owner groups from path; do
		if [ -e "$path" ] && [ ! -f "$path" ] && [ ! -L "$path" ]; then
			fail "$path is a $(stat -c %F "$path"), and a file is declared there; move it away"
		fi
		case $from in
		-) ;;
		absent) [ ! -e "$path" ] || fail "$path, of which a part is declared, was made by somebody else just now; run again" ;;
		*)
			[ "$(content "$path")" = "$from  -" ] ||
				fail "$path, of which a part is declared, was changed by somebody else just now; run again"
			;;
		esac
		if [ "$mode" = - ]; then
			mode=$(stat -c %a "$path")
			owner=$(stat -c %u:%g "$path")
			[ "$(content "files/$number")" != "$from  -" ] || continue
		fi
		if ! same "files/$number" "$mode" "$owner" "$path"; then
			! is_immutable "$path" || fail "$path is immutable, so it can't be replaced; take that away: chattr -i $path"
			printf '%s\t%s\t%s\t%s\t%s\n' "$number" "$mode" "$owner" "$groups" "$path" >>changed
			printf '%s\n' "$path" >>changed.paths
		fi
	done <files/list

	mkdir -p "$records"
	trap abandon EXIT
	make_room
	forget_staged
	while IFS= read -r path; do
		staging "$path"
		echo
	done <changed.paths >"$records/journal"
	sync "$records/journal" "$records"
	while IFS="$tab" read -r number mode owner groups path; do
		make_parents "$path"
		install -m "$mode" -o "${owner%%:*}" -g "${owner##*:}" "files/$number" "$(staging "$path")"
		sync "$(staging "$path")"
	done <changed

	judge checks
	# For whoever has to put an earlier generation back, this one included. By a file of this set's own, because another
	# set may come to the same point at the same time.
	cp fileset.sh "$records/.fileset.sh"
	mv -f "$records/.fileset.sh" /var/lib/pulumi-host/fileset.sh
	judge hooks

	generation=$records/generations/$revision
	rm -rf "$generation"
	mkdir -p "$generation"
	while IFS= read -r path; do keep "$path"; done <changed.paths
	while IFS="$tab" read -r _ path; do
		if [ -e "$path" ] || [ -L "$path" ]; then keep "$path"; fi
	done <removals/list

	# The debt first: from here on, a run that dies leaves a bounce that is known to be owed.
	{
		cut -f 4 changed
		while IFS="$tab" read -r groups path; do
			if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$groups"; fi
		done <removals/list
		cat owed
	} | tr ' ' '\n' | sort -u >"$generation/groups"
	sync "$generation" "$generation"/*
	while IFS= read -r group; do
		[ -z "$group" ] || [ "$group" = - ] || record revisions "$group" "$revision"
	done <"$generation/groups"

	while IFS= read -r path; do
		if ! mv -fT "$(staging "$path")" "$path"; then
			refused=$path
			put_back
			fail "$refused can't be replaced; everything is as it was"
		fi
		printf '%s\n' "$path" >>activated
		sync "$(dirname "$path")"
	done <changed.paths
	trap finish EXIT
	while IFS="$tab" read -r _ path; do rm -f "$path"; done <removals/list
	[ -f "$generation/changed" ] || rm -rf "$generation"
	find_generations | tail -n +6 | while IFS= read -r old; do rm -rf "$records/generations/$old"; done
	rm -f "$records/journal"
	report
}

# Newest first; a revision begins with its time, so that they sort.
find_generations() {
	if [ -d "$records/generations" ]; then ls -r "$records/generations"; fi
}

undo() {
	begin
	take_lock
	new_revision
	since=${3-}
	last_verified=$(cat "$records"/verified/* 2>/dev/null | sort | tail -n 1)
	[ -z "$since" ] || [ -d "$records/generations/$since" ] || fail "there is no generation $since; there are: $(find_generations | tr '\n' ' ')"
	if [ -z "$since$last_verified" ]; then
		since=$(find_generations | tail -n 1)
		# What a later one replaced was the work of an update that failed, and nobody's estate.
		[ -d "$records/generations/$since/before" ] || fail "nothing was ever verified on this host, and none of its files was there before, so there is nothing to go back to"
	fi
	find_generations | while IFS= read -r name; do
		if [ -n "$since" ]; then
			printf '%s\n' "$name"
			[ "$name" != "$since" ] || break
		else
			[ "$name" != "$last_verified" ] || break
			[ "$(printf '%s\n%s\n' "$name" "$last_verified" | sort | tail -n 1)" = "$name" ] || break
			printf '%s\n' "$name"
		fi
	done >"$work/undone"
	[ -s "$work/undone" ] || fail "there is no generation to undo"
	while IFS= read -r name; do cat "$records/generations/$name/groups"; done <"$work/undone" | sort -u >"$work/groups"
	while IFS= read -r group; do
		[ -z "$group" ] || [ "$group" = - ] || record revisions "$group" "$revision"
	done <"$work/groups"
	while IFS= read -r name; do
		generation=$records/generations/$name
		while IFS= read -r path; do
			restore "$path"
			printf '%s\n' "$path"
		done <"$generation/changed"
		rm -rf "$generation"
	done <"$work/undone" | sort -u
}

revisions() {
	for file in "$records"/revisions/*; do
		[ -f "$file" ] || continue
		printf '%s=%s\n' "$(basename "$file")" "$(cat "$file")"
	done
}

settle() {
	shift 2
	for settled in "$@"; do record verified "${settled%%=*}" "${settled#*=}"; done
}

list_generations() {
	find_generations | while IFS= read -r name; do
		printf '%s\t%s\n' "$name" "$(tr '\n' ' ' <"$records/generations/$name/changed")"
	done
}

read_files() {
	begin
	tar -xf - -C "$work"
	mkdir "$work/observed"
	while IFS="$tab" read -r number _; do
		# What a script says when it fails is what there is to see.
		(cd "$work" && run_script conditions "$number") >"$work/observed/$number" 2>&1 || true
		printf '%s\n' "$work/observed/$number"
	done <"$work/conditions/list" >"$work/observed.paths"
	# At the last moment, because the scripts take their time; and anew where an update has begun meanwhile.
	while :; do
		await_update
		{
			cat "$work/paths"
			for file in "$records"/revisions/* "$records"/verified/* "$records/journal"; do printf '%s\n' "$file"; done
		} | while IFS= read -r path; do
			if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\n' "$path"; fi
		done >"$work/list"
		holder >/dev/null || break
	done
	cat "$work/observed.paths" >>"$work/list"
	tar -cPf - --no-recursion --files-from "$work/list"
}

delete_files() {
	begin
	take_lock
	while IFS= read -r path; do rm -f "$path"; done
	rm -rf "$records"
}

case $action in
read) read_files ;;
apply) apply ;;
undo) undo "$@" ;;
settle) settle "$@" ;;
generations) list_generations ;;
revisions) revisions ;;
delete) delete_files ;;
*) fail "unknown action $action" ;;
esac
