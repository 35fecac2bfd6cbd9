/** Keeps a long look at the disk from taking a processor and the disk for itself: clients pull meanwhile. */

/** How long it works at a stretch, in milliseconds. */
const WORK = 5;
/** How long it sleeps after that. */
const REST = 15;

/** Returns a function that is called often, and sleeps where it is time to. */
export function pace(): () => void {
	const asleep = new Int32Array(new SharedArrayBuffer(4));
	let began = performance.now();
	return () => {
		if (performance.now() - began < WORK) return;
		Atomics.wait(asleep, 0, 0, REST);
		began = performance.now();
	};
}
