/** The plugin's Pulumi package schema, made from the zod schemas of its resource types. */
import { z } from "zod";
import { fileSetInputs, fileSetOutputs } from "./fileSetSchema.ts";

/** As `pulumi package get-schema` prints it. */
export function packageSchema(version: string): object {
	const types: Record<string, object> = {};
	const inputs = objectOf(z.toJSONSchema(fileSetInputs, { io: "input" }) as JsonSchema, types);
	const outputs = objectOf(z.toJSONSchema(fileSetOutputs) as JsonSchema, types);
	return {
		name: "host",
		version,
		description: "Files of a host, over SSH: read on every refresh, replaced together or not at all.",
		keywords: ["ssh", "files"],
		types,
		resources: {
			"host:index:FileSet": {
				description:
					"All managed files of one host: read on every refresh, judged before they become live, replaced together or not at all.",
				inputProperties: inputs.properties,
				requiredInputs: inputs.required,
				properties: { ...inputs.properties, ...outputs.properties },
				required: [...Object.keys(inputs.properties), ...Object.keys(outputs.properties)],
			},
		},
		language: { nodejs: { packageName: "@homelab/host", respectSchemaVersion: true } },
	};
}

interface JsonSchema {
	id?: string;
	type?: string;
	description?: string;
	secret?: boolean;
	properties?: Record<string, JsonSchema>;
	required?: string[];
	items?: JsonSchema;
	additionalProperties?: JsonSchema | boolean;
	$ref?: string;
	$defs?: Record<string, JsonSchema>;
}

interface ObjectSchema {
	properties: Record<string, object>;
	required: string[];
}

function objectOf(schema: JsonSchema, types: Record<string, object>, defs = schema.$defs ?? {}): ObjectSchema {
	const properties = Object.entries(schema.properties ?? {}).map(([key, value]) => [
		key,
		propertyOf(value, types, defs),
	]);
	return { properties: Object.fromEntries(properties), required: schema.required ?? [] };
}

function propertyOf(schema: JsonSchema, types: Record<string, object>, defs: Record<string, JsonSchema>): object {
	const { description, secret } = schema;
	const more = { ...(description !== undefined && { description }), ...(secret && { secret }) };
	const id = schema.$ref?.split("/").at(-1) ?? schema.id;
	if (id !== undefined) {
		const named = defs[id] ?? schema;
		const token = `host:index:${id}`;
		types[token] ??= {
			type: "object",
			...(description !== undefined && { description }),
			...objectOf(named, types, defs),
		};
		return { $ref: `#/types/${token}`, ...more };
	}
	if (schema.type === "array")
		return { type: "array", items: propertyOf(schema.items as JsonSchema, types, defs), ...more };
	if (schema.type === "object") {
		const values = schema.additionalProperties as JsonSchema;
		return { type: "object", additionalProperties: propertyOf(values, types, defs), ...more };
	}
	return { type: schema.type, ...more };
}
