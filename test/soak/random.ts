/** Choices that a seed makes again in the same order. */
export interface Random {
	/** A whole number from 0 to below that. */
	below(limit: number): number;
	/** One of them. */
	of<T>(all: readonly T[]): T;
}

/** Mulberry32: small, and good enough to choose what is done next. */
export function random(seed: number): Random {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (limit: number) => Math.floor(next() * limit);
	return { below, of: (all) => all[below(all.length)] as (typeof all)[number] };
}
