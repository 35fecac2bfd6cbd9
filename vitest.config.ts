import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		reporters: ["default", "./test/closingLine.ts"],
		projects: [
			{
				test: {
					name: "unit",
					include: ["test/**/*.test.ts"],
					exclude: ["test/lab/**"],
				},
			},
			{
				test: {
					name: "lab",
					include: ["test/lab/**/*.test.ts"],
					// One estate: its tests take turns, and start from what the program declares.
					fileParallelism: false,
					testTimeout: 180_000,
					hookTimeout: 180_000,
					globalSetup: "test/lab/environment.ts",
				},
			},
		],
	},
});
