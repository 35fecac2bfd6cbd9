/** Notices that a disk was full and is not any more: what was being pushed then has left empty links, which a scan heals. */
import { existsSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * True once, at the second look at which there is room again: by then, nothing that was cut off may still be at work.
 * `data` is the folder with a folder for each registry, each of which may be a file system of its own. `mark` is a file
 * that keeps it from look to look, and better not on those disks.
 */
export function hasRoomAgain(data: string, mark: string): boolean {
	if (isFull(data) || readdirSync(data).some((name) => isFull(join(data, name)))) {
		writeFileSync(mark, "full");
		return false;
	}
	if (!existsSync(mark)) return false;
	if (readFileSync(mark, "utf8") === "full") {
		writeFileSync(mark, "room");
		return false;
	}
	rmSync(mark);
	return true;
}

/** A hundredth is what root may still have where nobody else has anything. Some file systems have no number of files. */
function isFull(folder: string): boolean {
	const { blocks, bavail, files, ffree } = statfsSync(folder);
	return bavail < blocks / 100 || (files > 0 && ffree < files / 100);
}
