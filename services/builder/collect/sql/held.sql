-- The blobs that projects and the cache hold.
SELECT digest FROM uploads
 UNION
SELECT digest FROM layers;
